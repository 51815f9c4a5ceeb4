# OLN-Box (2-RPN) on the built-in data, by OLN's solver.
_base_ = [
    '../_base_/models/oln_box_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes_sgd.py',
    '../_base_/oln_variants.py',
]
