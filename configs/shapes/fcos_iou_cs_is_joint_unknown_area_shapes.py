# Appendix A: joint training, unknown-area masking from 5k of 90k at 0.95.
_base_ = [
    '../_base_/models/owp_fcos_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=dict(_base_.joint, loss_cls=_base_.mask_area))
log_processor = _base_.log_masking
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
