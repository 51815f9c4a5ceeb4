# Beyond the paper: refined boxes and a cue that also learns background.
_base_ = [
    '../_base_/models/owp_fcos_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=_base_.presence_border)
