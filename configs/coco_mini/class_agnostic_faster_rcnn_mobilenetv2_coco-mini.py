# Baseline: Faster R-CNN that separates objects from background.
_base_ = [
    '../_base_/models/class_agnostic_faster_rcnn_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
]

train_dataloader = val_dataloader = test_dataloader = _base_.one_class
optim_wrapper = dict(optimizer=_base_.sgd)
