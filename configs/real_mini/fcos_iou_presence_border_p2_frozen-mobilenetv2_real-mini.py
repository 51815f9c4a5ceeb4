# Beyond the paper: refined boxes, the cue presence, and a level of stride 4;
# a frozen backbone.
_base_ = [
    '../_base_/models/owp_fcos_mobilenetv2_fpn.py',
    '../_base_/datasets/real_mini.py',
    '../_base_/schedules/schedule_real_mini.py',
    '../_base_/methods.py',
]

model = dict(
    **_base_.p2_frozen,
    bbox_head=dict(**_base_.presence_border, **_base_.p2_head),
)
