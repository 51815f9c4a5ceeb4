# The proposer on the small network of the built-in data.
_base_ = ['./owp_fcos_r50_fpn.py', './r18_fpn.py']

model = dict(
    **_base_.r18_fpn,
    bbox_head=dict(
        num_classes=8,
        in_channels=48,
        feat_channels=48,
        norm_cfg=dict(type='GN', num_groups=16),
        stacked_convs=2,
        strides=[4, 8, 16],
        regress_ranges=((-1, 24), (24, 48), (48, 1e8)),
        # Negative distances are clamped to 0 and learn nothing: start from 2
        # strides. The paper's long schedule does without.
        init_reg_bias=2,
    ),
)
