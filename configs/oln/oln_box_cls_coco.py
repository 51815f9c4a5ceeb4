# OLN-Box that also classifies, in the second stage.
_base_ = [
    '../_base_/models/oln_box_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_8e.py',
    '../_base_/methods.py',
]

model = _base_.second_stage_cls
train_dataloader = dict(sampler=dict(type='DefaultSampler'))
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
