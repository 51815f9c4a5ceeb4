# OLN-Box (2-RPN): both stages learn how good a box is.
_base_ = [
    '../_base_/models/oln_box_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes_sgd.py',
]
