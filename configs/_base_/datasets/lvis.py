# LVIS v1 without the last 100 frequent classes by id, set up as COCO, but 300
# proposals and detections per image count.
_base_ = [
    'mmdet::_base_/datasets/coco_detection.py',
    './metrics.py',
    './tta.py',
]

data_root = '{{$LVIS_ROOT:data/lvis_v1}}'
# Both annotation files name images of both COCO folders.
dataset = dict(
    type='LVISSplitDataset',
    data_root=data_root,
    partition='lvis-id',
    split='base',
    data_prefix=dict(img=''),
)
train_dataloader = dict(
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=dict(type='ResumableAspectRatioBatchSampler'),
    dataset=dict(ann_file='annotations/lvis_v1_train.json', **dataset),
)
val_dataloader = test_dataloader = dict(
    dataset=dict(ann_file='annotations/lvis_v1_val.json', **dataset)
)

recall = dict(_base_.recall, proposal_nums=(10, 100, 300))
class_wise = dict(_base_.class_wise, style='lvis')
val_evaluator = test_evaluator = [recall]

# The loaders of the other partition: novel classes by image count.
by_count = dict(dataset=dict(partition='lvis-count'))
