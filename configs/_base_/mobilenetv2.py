# MobileNetV2 with ImageNet weights, for images of 256 to 384 pixels. For
# `model`, which a file of its own can't set, as two bases can't share a key.
mobilenetv2 = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        out_indices=(2, 4, 6),
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$MOBILENET_V2:open-mmlab://mmdet/mobilenet_v2}}')),
    neck=dict(in_channels=[32, 96, 320], out_channels=64, start_level=0))
# Its last convolution is behind the maps taken and learns nothing.
find_unused_parameters = True
