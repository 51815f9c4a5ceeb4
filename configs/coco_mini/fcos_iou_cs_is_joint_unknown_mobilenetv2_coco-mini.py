# Table 1: joint training, unknown-object masking from 5k of 90k at 0.95.
_base_ = [
    '../_base_/models/owp_fcos_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=dict(_base_.joint, loss_cls=_base_.mask_unknown))
log_processor = _base_.log_masking
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
