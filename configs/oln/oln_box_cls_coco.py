# OLN-Box that also classifies, in the second stage.
_base_ = './oln_box_coco.py'

model = _base_.second_stage_cls

val_evaluator = _base_.val_evaluator + [_base_.class_wise]
test_evaluator = val_evaluator
