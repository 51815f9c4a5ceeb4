# The proposer on MobileNetV2.
_base_ = ['./owp_fcos_r50_fpn.py', './mobilenetv2_fpn.py']

model = dict(
    **_base_.mobilenetv2_fpn,
    # Negative distances are clamped to 0 and learn nothing: start from 2
    # strides. Without, one of nine short trainings kept all boxes empty.
    bbox_head=dict(in_channels=64, feat_channels=64, init_reg_bias=2),
)
# model: the maps of `p2_head`.
p2 = dict(
    backbone=dict(out_indices=(1, 2, 4, 6)),
    neck=dict(in_channels=[24, 32, 96, 320], num_outs=6),
)
p2_frozen = dict(p2, backbone=dict(**p2['backbone'], **_base_.frozen_backbone))
