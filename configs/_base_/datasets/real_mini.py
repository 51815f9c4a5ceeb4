# Photographs of several sets, merged by tools/dataset_tools/merge_coco.py;
# validated on those of the COCO subset.
_base_ = ['./small_images.py', './metrics.py']

image_size = (384, 384)
resize = dict(type='Resize', scale=image_size, keep_ratio=True)
train_pipeline = [
    *_base_.train_pipeline[:2],
    resize,
    *_base_.train_pipeline[3:],
]
test_pipeline = [_base_.test_pipeline[0], resize, _base_.test_pipeline[2]]
tta_pipeline = [
    _base_.tta_pipeline[0],
    dict(
        type='TestTimeAug',
        transforms=[
            [resize, dict(resize, scale=(576, 576))],
            *_base_.tta_pipeline[1].transforms[1:],
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
