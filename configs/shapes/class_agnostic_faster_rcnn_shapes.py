# Baseline: Faster R-CNN that separates objects from background.
_base_ = [
    '../_base_/models/class_agnostic_faster_rcnn_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes_sgd.py',
]

train_dataloader = val_dataloader = test_dataloader = _base_.one_class
