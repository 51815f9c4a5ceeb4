# Baseline: Faster R-CNN that tells objects from background.
_base_ = [
    '../_base_/models/class_agnostic_faster_rcnn_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_8e.py',
    '../_base_/oln_variants.py',
]

train_dataloader = dict(
    sampler=dict(type='DefaultSampler'), **_base_.one_class
)
val_dataloader = _base_.one_class
test_dataloader = val_dataloader
