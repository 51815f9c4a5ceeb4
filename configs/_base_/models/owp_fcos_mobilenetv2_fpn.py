# The proposer on MobileNetV2.
_base_ = ['./owp_fcos_r50_fpn.py', './mobilenetv2_fpn.py']

model = dict(
    **_base_.mobilenetv2_fpn, bbox_head=dict(in_channels=64, feat_channels=64)
)
