# The subset of COCO that tools/dataset_tools/make_coco_mini.py cuts.
_base_ = './coco_voc.py'

data_root = '{{$COCO_MINI:data/coco_mini}}'
image_size = (256, 256)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
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
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler'),
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='ClassAgnosticRecallMetric',
        ann_file=data_root + '/annotations/instances_val.json',
        partition='voc',
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
    partition='voc',
)
