# OLN's first stage alone (1-RPN).
_base_ = [
    '../_base_/models/oln_box_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
    '../_base_/methods.py',
]

model = _base_.first_stage
optim_wrapper = dict(optimizer=_base_.sgd)
