# joint (Table 2): boxes, cue and classes trained together.
_base_ = ['../owp/fcos_iou_cs_is_lvis.py', '../_base_/owp_cls.py']

model = dict(bbox_head=dict(loss_cls=_base_.focal_loss))

val_evaluator = _base_.val_evaluator + [_base_.class_wise]
test_evaluator = val_evaluator
