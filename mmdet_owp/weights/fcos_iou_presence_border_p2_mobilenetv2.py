custom_imports = dict(imports=['mmdet_owp.register'])
default_hooks = dict(
    checkpoint=dict(
        _scope_='mmdet',
        by_epoch=False,
        interval=500,
        max_keep_ckpts=2,
        type='CheckpointHook',
    ),
    logger=dict(_scope_='mmdet', interval=50, type='LoggerHook'),
    param_scheduler=dict(_scope_='mmdet', type='ParamSchedulerHook'),
    resume_match=dict(type='ResumeMatchHook'),
    sampler_seed=dict(_scope_='mmdet', type='DistSamplerSeedHook'),
    timer=dict(_scope_='mmdet', type='IterTimerHook'),
    visualization=dict(_scope_='mmdet', type='DetVisualizationHook'),
)
default_scope = 'mmdet'
env_cfg = dict(
    cudnn_benchmark=False,
    dist_cfg=dict(backend='nccl'),
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
)
log_level = 'INFO'
log_processor = dict(
    _scope_='mmdet', by_epoch=False, type='LogProcessor', window_size=50
)
model = dict(
    backbone=dict(
        frozen_stages=7,
        norm_eval=True,
        out_indices=(1, 2, 4, 6),
        type='MobileNetV2',
    ),
    bbox_head=dict(
        center_sample_radius=1.5,
        center_sampling=True,
        conv_bias=True,
        feat_channels=64,
        in_channels=64,
        init_reg_bias=2,
        loss_bbox=dict(loss_weight=1.0, type='GIoULoss'),
        loss_cls=None,
        norm_on_bbox=True,
        num_classes=20,
        objectness=('iou', 'presence'),
        presence_masking=dict(start_iter=0.05555555555555555, threshold=0.95),
        refine='border',
        regress_ranges=(
            (-1, 32),
            (32, 64),
            (64, 128),
            (128, 256),
            (256, 512),
            (512, 100000000.0),
        ),
        sampler=dict(candidates='center+hard', iou_thr=0.3, type='IoUSampler'),
        stacked_convs=4,
        strides=[4, 8, 16, 32, 64, 128],
        type='OWPFCOSHead',
    ),
    data_preprocessor=dict(
        bgr_to_rgb=True,
        mean=[123.675, 116.28, 103.53],
        pad_size_divisor=32,
        std=[58.395, 57.12, 57.375],
        type='DetDataPreprocessor',
    ),
    neck=dict(
        add_extra_convs='on_output',
        in_channels=[24, 32, 96, 320],
        num_outs=6,
        out_channels=64,
        relu_before_extra_convs=True,
        start_level=0,
        type='FPN',
    ),
    test_cfg=dict(
        max_per_img=100,
        min_bbox_size=0,
        nms=dict(iou_threshold=0.6, split_thr=100000, type='nms'),
        nms_pre=2000,
        proposals=dict(
            max_per_img=1500,
            min_bbox_size=0,
            nms=dict(iou_threshold=0.6, split_thr=100000, type='nms'),
            nms_pre=2000,
        ),
        score_thr=0.05,
    ),
    type='FCOS',
)
proposal_scales = [384, 576]
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_size=8,
    dataset=dict(
        _scope_='mmdet',
        ann_file='annotations/instances_val.json',
        backend_args=None,
        data_prefix=dict(img='val/'),
        data_root='data/coco_mini',
        partition='voc',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(keep_ratio=True, scale=(384, 384), type='Resize'),
            dict(
                meta_keys=(
                    'img_id',
                    'img_path',
                    'ori_shape',
                    'img_shape',
                    'scale_factor',
                ),
                type='PackDetInputs',
            ),
        ],
        split='base',
        test_mode=True,
        type='CocoSplitDataset',
    ),
    drop_last=False,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(_scope_='mmdet', shuffle=False, type='DefaultSampler'),
)
test_evaluator = [
    dict(
        proposal_nums=(10, 100),
        protocol=('drop-base', 'exclude-base', 'oln'),
        split=('novel', 'base'),
        type='ClassAgnosticRecallMetric',
    )
]
tta_model = dict(
    tta_cfg=dict(
        proposals=dict(
            max_per_img=1500,
            nms=dict(iou_threshold=0.7, split_thr=100000, type='nms'),
        )
    ),
    type='ProposalTTAModel',
)
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        transforms=[
            [
                dict(keep_ratio=True, scale=(384, 384), type='Resize'),
                dict(keep_ratio=True, scale=(576, 576), type='Resize'),
            ],
            [dict(prob=0.0, type='RandomFlip')],
            [dict(type='PackDetInputs')],
        ],
        type='TestTimeAug',
    ),
]
vis_backends = [dict(_scope_='mmdet', type='LocalVisBackend')]
visualizer = dict(
    _scope_='mmdet',
    name='visualizer',
    type='DetLocalVisualizer',
    vis_backends=[dict(type='LocalVisBackend')],
)
