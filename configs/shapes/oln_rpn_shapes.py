# OLN's first stage alone (1-RPN).
_base_ = [
    '../_base_/models/oln_box_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes_sgd.py',
    '../_base_/methods.py',
]

model = _base_.first_stage
