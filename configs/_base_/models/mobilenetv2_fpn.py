# MobileNetV2 with ImageNet weights, for images of 256 to 384 pixels.
mobilenetv2_fpn = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        out_indices=(2, 4, 6),
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$MOBILENET_V2:open-mmlab://mmdet/mobilenet_v2}}',
        ),
    ),
    neck=dict(in_channels=[32, 96, 320], out_channels=64, start_level=0),
)
# model.backbone: all stages keep their ImageNet weights, at half the cost of a
# step.
frozen_backbone = dict(frozen_stages=7)
# Two stages on one more map, of stride 4. Square anchors of 4 strides meet 9%
# of the training boxes of the COCO subset at IoU 0.7 and 80% at 0.3, of 8
# strides 9% and 59%. Images are a third as large as COCO's, and so are the
# sizes by which RoIs go to the levels.
mobilenetv2_rcnn = dict(
    data_preprocessor=mobilenetv2_fpn['data_preprocessor'],
    backbone=dict(mobilenetv2_fpn['backbone'], out_indices=(1, 2, 4, 6)),
    neck=dict(in_channels=[24, 32, 96, 320], out_channels=64),
    rpn_head=dict(
        in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, finest_scale=18),
        bbox_head=dict(in_channels=64, fc_out_channels=256),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=128))),
)
# The last convolution is behind the maps that the neck takes: no gradient.
find_unused_parameters = True
