# OLN-Box (2-RPN): both stages learn how good a box is.
_base_ = [
    '../_base_/models/oln_box_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_8e.py',
]

train_dataloader = dict(sampler=dict(type='DefaultSampler'))
