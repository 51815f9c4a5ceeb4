# OLN-Box that also classifies, in the second stage.
_base_ = [
    '../_base_/models/oln_box_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
    '../_base_/methods.py',
]

model = _base_.second_stage_cls
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
optim_wrapper = dict(optimizer=_base_.sgd)
