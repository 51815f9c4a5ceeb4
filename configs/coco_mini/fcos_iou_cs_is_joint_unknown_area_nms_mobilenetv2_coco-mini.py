# Appendix A, future work: joint training, unknown-area masking after NMS.
_base_ = [
    '../_base_/models/owp_fcos_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=dict(_base_.joint, loss_cls=_base_.mask_area_nms))
log_processor = _base_.log_masking
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
