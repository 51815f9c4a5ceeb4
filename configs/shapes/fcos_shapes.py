# Tables 1 and 2, first row: the baseline, logits x centerness.
_base_ = [
    '../_base_/models/owp_fcos_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=_base_.baseline)
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
