# The built-in data, made by tools/dataset_tools/make_shapes.py.
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
dataset = dict(
    type='CocoSplitDataset',
    data_root=data_root,
    partition='shapes',
    split='base',
    pipeline=pipeline,
)

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=True),
        **dataset,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        **dataset,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='ClassAgnosticRecallMetric',
        ann_file=data_root + '/annotations/instances_val.json',
        partition='shapes',
        split=('novel', 'base'),
        protocol=('drop-base', 'exclude-base'),
        proposal_nums=(10, 100),
    )
]
test_evaluator = val_evaluator
# For detectors that classify, beside the other.
class_wise = dict(
    type='ClassWiseMetric',
    ann_file=data_root + '/annotations/instances_val.json',
    partition='shapes',
)
