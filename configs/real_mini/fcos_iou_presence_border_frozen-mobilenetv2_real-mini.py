# Beyond the paper: cue of background, refined box; a frozen backbone.
_base_ = [
    '../_base_/models/owp_fcos_mobilenetv2_fpn.py',
    '../_base_/datasets/real_mini.py',
    '../_base_/schedules/schedule_real_mini.py',
    '../_base_/methods.py',
]

model = dict(backbone=_base_.frozen_backbone, bbox_head=_base_.presence_border)
