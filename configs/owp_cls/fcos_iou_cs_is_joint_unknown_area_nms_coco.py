# Appendix A, future work: joint training, unknown-area masking after NMS.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=dict(_base_.joint, loss_cls=_base_.mask_area_nms))
log_processor = _base_.log_masking
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
