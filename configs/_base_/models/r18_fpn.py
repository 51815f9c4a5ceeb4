# A small network for 128-pixel images, trained from scratch: three stages and
# fine strides, so that within minutes every level sees enough boxes.
r18_fpn = dict(
    data_preprocessor=dict(
        mean=[103.530, 116.280, 123.675],
        std=[57.375, 57.12, 58.395],
        bgr_to_rgb=False,
    ),
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
        init_cfg=None,
    ),
    neck=dict(
        in_channels=[32, 64, 128], out_channels=48, start_level=0, num_outs=3
    ),
)
# Two stages at the cost of one: 256 channels instead of 1024 and 128 RoIs per
# image instead of 512. Square anchors of 4 strides meet 31% of the training
# boxes at IoU 0.7 and 99% at 0.3, of 8 strides 23% and 72%. RoIs go to the
# levels by the regression ranges of the FCOS of this network.
r18_rcnn = dict(
    **r18_fpn,
    rpn_head=dict(
        in_channels=48,
        feat_channels=48,
        anchor_generator=dict(scales=[4], strides=[4, 8, 16]),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=128))),
)
r18_roi_head = dict(
    bbox_roi_extractor=dict(
        out_channels=48, featmap_strides=[4, 8, 16], finest_scale=24
    ),
    bbox_head=dict(in_channels=48, fc_out_channels=256),
)
