# Baseline: Faster R-CNN that tells objects from background.
_base_ = [
    '../_base_/models/class_agnostic_faster_rcnn_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes_sgd.py',
    '../_base_/oln_variants.py',
]

train_dataloader = _base_.one_class
val_dataloader = _base_.one_class
test_dataloader = val_dataloader
