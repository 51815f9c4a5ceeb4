# Tables 1 and 2, first row: the baseline, logits x centerness.
_base_ = [
    '../_base_/models/owp_fcos_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=_base_.baseline)
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
