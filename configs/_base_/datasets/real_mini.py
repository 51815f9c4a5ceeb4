# Photographs of several sets, merged by tools/dataset_tools/merge_coco.py;
# validated on those of the COCO subset.
_base_ = ['./small_images.py', './metrics.py']

resize = dict(type='Resize', scale=(384, 384), keep_ratio=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    resize,
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), resize, _base_.pack_unflipped]
# tools/test.py --tta: two sizes of each image.
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [resize, dict(resize, scale=(576, 576))],
            [dict(type='RandomFlip', prob=0.0)],
            [dict(type='PackDetInputs')],
        ],
    ),
]
dataset = dict(type='CocoSplitDataset', partition='voc', split='base')
train_dataloader = dict(
    **_base_.loader,
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
    **_base_.loader,
    dataset=dict(
        data_root='{{$COCO_MINI:data/coco_mini}}',
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        pipeline=test_pipeline,
        **dataset,
    ),
)
val_evaluator = test_evaluator = [_base_.recall]
