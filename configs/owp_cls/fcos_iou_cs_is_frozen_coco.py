# frozen (Table 3): from the proposer, whose part of the head is frozen.
_base_ = './fcos_iou_cs_is_joint_coco.py'

load_from = 'work_dirs/fcos_iou_cs_is_coco/iter_90000.pth'
custom_hooks = _base_.from_proposer
model = dict(bbox_head=dict(freeze_regression=True))
