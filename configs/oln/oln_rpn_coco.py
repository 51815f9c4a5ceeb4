# OLN's first stage alone (1-RPN).
_base_ = [
    '../_base_/models/oln_box_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_8e.py',
    '../_base_/methods.py',
]

model = _base_.first_stage
train_dataloader = dict(sampler=dict(type='DefaultSampler'))
