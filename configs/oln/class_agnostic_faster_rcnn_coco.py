# Baseline: Faster R-CNN that separates objects from background.
_base_ = [
    '../_base_/models/class_agnostic_faster_rcnn_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_8e.py',
]

train_dataloader = dict(_base_.one_class, sampler=dict(type='DefaultSampler'))
val_dataloader = test_dataloader = _base_.one_class
