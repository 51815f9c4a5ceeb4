# OLN-Box (2-RPN): both stages learn how good a box is.
_base_ = [
    '../_base_/models/oln_box_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
]

optim_wrapper = dict(optimizer=_base_.sgd)
