# Table 1: IoU.
_base_ = [
    '../_base_/models/owp_fcos_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
]
