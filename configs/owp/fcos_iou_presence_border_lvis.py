# Beyond the paper: refined boxes and a cue that also learns background.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn_lvis.py',
    '../_base_/datasets/lvis.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=_base_.presence_border)
