# LVIS v1, without the last 100 frequent classes by id: all settings as on
# COCO, but 300 proposals and detections an image count.
_base_ = './coco_voc.py'

data_root = '{{$LVIS_ROOT:data/lvis_v1}}'
# Images of both COCO folders are in either annotation file.
dataset = dict(
    type='LVISSplitDataset',
    data_root=data_root,
    partition='lvis-id',
    data_prefix=dict(img=''),
)

train_dataloader = dict(
    dataset=dict(ann_file='annotations/lvis_v1_train.json', **dataset)
)
val_dataloader = dict(
    dataset=dict(ann_file='annotations/lvis_v1_val.json', **dataset)
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='ClassAgnosticRecallMetric',
        ann_file=data_root + '/annotations/lvis_v1_val.json',
        partition='lvis-id',
        split=('novel', 'base'),
        protocol=('drop-base', 'exclude-base'),
        proposal_nums=(10, 100, 300),
    )
]
test_evaluator = val_evaluator
# For detectors that classify, beside the other.
class_wise = dict(
    type='ClassWiseMetric',
    ann_file=data_root + '/annotations/lvis_v1_val.json',
    partition='lvis-id',
    style='lvis',
)
# What makes the data sets of a config those of the other partition.
by_count = dict(dataset=dict(partition='lvis-count'))
