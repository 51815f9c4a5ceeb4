# finetune (Tables 1 and 3): from the proposer, whose part learns slowly.
_base_ = './fcos_iou_cs_is_joint_coco.py'

load_from = 'work_dirs/fcos_iou_cs_is_coco/iter_90000.pth'
custom_hooks = _base_.from_proposer
optim_wrapper = _base_.slow_regression
