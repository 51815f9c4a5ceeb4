# COCO 2017: trained on the 20 VOC classes, evaluated on the other 60 too.
_base_ = 'mmdet::_base_/datasets/coco_detection.py'

data_root = '{{$COCO_ROOT:data/coco}}'
dataset = dict(
    type='CocoSplitDataset', data_root=data_root, partition='voc', split='base'
)

train_dataloader = dict(sampler=dict(type='InfiniteSampler'), dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='ClassAgnosticRecallMetric',
        ann_file=data_root + '/annotations/instances_val2017.json',
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
    ann_file=data_root + '/annotations/instances_val2017.json',
    partition='voc',
)
