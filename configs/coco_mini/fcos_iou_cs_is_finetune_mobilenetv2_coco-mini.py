# Tables 1 and 3, finetune: from the proposer, whose part learns slowly.
_base_ = [
    '../_base_/models/owp_fcos_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=_base_.joint)
load_from = 'work_dirs/fcos_iou_cs_is_mobilenetv2_coco-mini/epoch_6.pth'
custom_hooks, optim_wrapper = _base_.finetune
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
