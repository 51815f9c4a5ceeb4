# The baseline, logits x centerness, on a frozen backbone.
_base_ = [
    '../_base_/models/owp_fcos_mobilenetv2_fpn.py',
    '../_base_/datasets/real_mini.py',
    '../_base_/schedules/schedule_real_mini.py',
    '../_base_/methods.py',
]

model = dict(backbone=_base_.frozen_backbone, bbox_head=_base_.baseline)
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
