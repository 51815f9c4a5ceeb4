# A small network for 128-pixel images, trained from scratch: three stages and
# fine strides, so that every level has boxes enough to learn from in minutes.
_base_ = './owp_fcos_r50_fpn.py'

model = dict(
    data_preprocessor=dict(std=[57.375, 57.12, 58.395]),
    backbone=dict(
        depth=18,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
        base_channels=32,
        frozen_stages=-1,
        norm_cfg=dict(requires_grad=True),
        norm_eval=False,
        style='pytorch',
        init_cfg=None),
    neck=dict(
        in_channels=[32, 64, 128],
        out_channels=48,
        start_level=0,
        num_outs=3),
    bbox_head=dict(
        num_classes=8,
        in_channels=48,
        feat_channels=48,
        norm_cfg=dict(type='GN', num_groups=16),
        stacked_convs=2,
        strides=[4, 8, 16],
        regress_ranges=((-1, 24), (24, 48), (48, 1e8)),
        # Negative distances are cut to 0 and learn nothing: start from 2
        # strides, which the paper's long schedule can do without.
        init_cfg=dict(
            type='Normal',
            layer='Conv2d',
            std=0.01,
            override=[
                dict(type='Normal', name='conv_reg', std=0.01, bias=2)
            ])))
