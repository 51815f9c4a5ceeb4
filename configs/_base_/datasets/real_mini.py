# Photographs of several sets, merged by tools/dataset_tools/merge_coco.py;
# validated on those of the COCO subset.
_base_ = ['mmdet::_base_/datasets/coco_detection.py', './metrics.py']

image_size = (384, 384)
resize = dict(type='Resize', scale=image_size, keep_ratio=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    resize,
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    dict(
        type='PackDetInputs',
        meta_keys=(
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
        ),
    ),
]
# tools/test.py --tta: two sizes of each image.
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [resize, dict(type='Resize', scale=(576, 576), keep_ratio=True)],
            [dict(type='RandomFlip', prob=0.0)],
            [dict(type='PackDetInputs')],
        ],
    ),
]
dataset = dict(type='CocoSplitDataset', partition='voc', split='base')
loader = dict(batch_size=8, num_workers=1, persistent_workers=False)
train_dataloader = dict(
    **loader,
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=dict(type='ResumableAspectRatioBatchSampler'),
    dataset=dict(
        data_root='{{$REAL_MINI:data/real_mini}}',
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline,
        **dataset,
    ),
)
val_dataloader = test_dataloader = dict(
    **loader,
    dataset=dict(
        data_root='{{$COCO_MINI:data/coco_mini}}',
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        pipeline=test_pipeline,
        **dataset,
    ),
)
val_evaluator = test_evaluator = [_base_.recall]
