# OLN-Box for short schedules; a variant of ours.
_base_ = [
    '../_base_/models/oln_box_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes_sgd.py',
    '../_base_/methods.py',
]

model = _base_.oln_short
