# Table 2: joint training.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn_lvis.py',
    '../_base_/datasets/lvis.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=_base_.joint)
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
