# Beyond the paper: refined boxes, the cue presence, and a level of stride 4.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(
    **_base_.p2, bbox_head=dict(**_base_.presence_border, **_base_.p2_head)
)
