# Baseline: the first stage of class-agnostic Faster R-CNN alone.
_base_ = [
    '../_base_/models/class_agnostic_faster_rcnn_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes_sgd.py',
    '../_base_/methods.py',
]

model = _base_.first_stage
train_dataloader = val_dataloader = test_dataloader = _base_.one_class
