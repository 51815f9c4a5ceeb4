# The proposer on MobileNetV2.
_base_ = ['./owp_fcos_r50_fpn.py', './mobilenetv2_fpn.py']

model = dict(
    **_base_.mobilenetv2_fpn,
    # Negative distances are clamped to 0 and learn nothing: start from 2
    # strides. Without, one of nine short trainings kept all boxes empty.
    bbox_head=dict(in_channels=64, feat_channels=64, init_reg_bias=2),
)
# model and model.bbox_head: one more level, of stride 4, for small objects.
p2 = dict(
    backbone=dict(out_indices=(1, 2, 4, 6)),
    neck=dict(in_channels=[24, 32, 96, 320], num_outs=6),
)
p2_head = dict(
    strides=[4, 8, 16, 32, 64, 128],
    regress_ranges=(
        (-1, 32),
        (32, 64),
        (64, 128),
        (128, 256),
        (256, 512),
        (512, 1e8),
    ),
)
