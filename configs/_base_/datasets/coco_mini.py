# The subset of COCO that tools/dataset_tools/make_coco_mini.py cuts.
_base_ = ['./small_images.py', './metrics.py']

data_root = '{{$COCO_MINI:data/coco_mini}}'
dataset = dict(
    type='CocoSplitDataset', data_root=data_root, partition='voc', split='base'
)
train_dataloader = dict(
    **_base_.loader,
    dataset=dict(
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        pipeline=_base_.train_pipeline,
        **dataset,
    ),
)
val_dataloader = test_dataloader = dict(
    **_base_.loader,
    dataset=dict(
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        pipeline=_base_.test_pipeline,
        **dataset,
    ),
)
val_evaluator = test_evaluator = [_base_.recall]
