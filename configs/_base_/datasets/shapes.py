# The built-in data, made by tools/dataset_tools/make_shapes.py.
_base_ = './metrics.py'

data_root = '{{$SHAPES:data/shapes}}'
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
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
            [
                dict(type='Resize', scale=(128, 128), keep_ratio=True),
                dict(type='Resize', scale=(256, 256), keep_ratio=True),
            ],
            [dict(type='RandomFlip', prob=0.0)],
            [dict(type='PackDetInputs')],
        ],
    ),
]
dataset = dict(
    type='CocoSplitDataset',
    data_root=data_root,
    partition='shapes',
    split='base',
    pipeline=pipeline,
)
loader = dict(num_workers=1, persistent_workers=False)
train_dataloader = dict(
    batch_size=8,
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=True),
        **dataset,
    ),
)
val_dataloader = test_dataloader = dict(
    batch_size=16,
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        **dataset,
    ),
)
val_evaluator = test_evaluator = [_base_.recall]
