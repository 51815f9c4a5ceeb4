# Baseline: the first stage of class-agnostic Faster R-CNN alone.
_base_ = [
    '../_base_/models/class_agnostic_faster_rcnn_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_8e.py',
    '../_base_/methods.py',
]

model = _base_.first_stage
train_dataloader = dict(_base_.one_class, sampler=dict(type='DefaultSampler'))
val_dataloader = test_dataloader = _base_.one_class
