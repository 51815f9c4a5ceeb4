# OLN-Box (2-RPN) on the COCO subset; the rate of batch 8 is half OLN's.
_base_ = [
    '../_base_/models/oln_box_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
    '../_base_/oln_variants.py',
]
