# Baseline: the first stage of class-agnostic Faster R-CNN alone.
_base_ = [
    '../_base_/models/class_agnostic_faster_rcnn_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
    '../_base_/methods.py',
]

model = _base_.first_stage
train_dataloader = val_dataloader = test_dataloader = _base_.one_class
optim_wrapper = dict(optimizer=_base_.sgd)
