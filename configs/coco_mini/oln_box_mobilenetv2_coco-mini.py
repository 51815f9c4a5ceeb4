# OLN-Box (2-RPN). The rate, for batches of 8, is half of OLN's.
_base_ = [
    '../_base_/models/oln_box_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
]
