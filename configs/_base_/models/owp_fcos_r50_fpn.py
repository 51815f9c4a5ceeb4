# FCOS without a classifier: boxes and one objectness cue, the IoU.
model = dict(
    type='FCOS',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[103.530, 116.280, 123.675],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        style='caffe',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='open-mmlab://detectron2/resnet50_caffe',
        ),
    ),
    neck=dict(
        type='FPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        start_level=1,
        add_extra_convs='on_output',
        num_outs=5,
        relu_before_extra_convs=True,
    ),
    bbox_head=dict(
        type='OWPFCOSHead',
        num_classes=20,
        in_channels=256,
        stacked_convs=4,
        feat_channels=256,
        strides=[8, 16, 32, 64, 128],
        norm_on_bbox=True,
        conv_bias=True,
        center_sampling=True,
        center_sample_radius=1.5,
        objectness=('iou',),
        sampler=dict(type='IoUSampler'),
        loss_cls=None,
        loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
    ),
    test_cfg=dict(
        # Class detections, where there is a classifier. Five levels of 2000
        # reach mmcv's default limit of 10,000, from which its NMS loops over
        # the classes.
        nms_pre=2000,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type='nms', iou_threshold=0.6, split_thr=100000),
        max_per_img=100,
        proposals=dict(
            nms_pre=2000,
            min_bbox_size=0,
            nms=dict(type='nms', iou_threshold=0.6, split_thr=100000),
            max_per_img=1500,
        ),
    ),
)
# model and model.bbox_head: one more level, of stride 4, for small objects.
p2 = dict(neck=dict(start_level=0, num_outs=6))
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
