# COCO 2017: trained on the 20 VOC classes, evaluated on the other 60 too.
_base_ = [
    'mmdet::_base_/datasets/coco_detection.py',
    './metrics.py',
    './tta.py',
]

data_root = '{{$COCO_ROOT:data/coco}}'
dataset = dict(
    type='CocoSplitDataset', data_root=data_root, partition='voc', split='base'
)
train_dataloader = dict(
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=dict(type='ResumableAspectRatioBatchSampler'),
    dataset=dataset,
)
val_dataloader = test_dataloader = dict(dataset=dataset)
val_evaluator = test_evaluator = [_base_.recall]

# test_dataloader, test_evaluator of detectors trained on COCO and tested on
# the frames of UVO, where no object is of a class that training knew.
uvo = (
    dict(
        dataset=dict(
            data_root='{{$UVO_ROOT:data/uvo}}',
            ann_file='FrameSet/UVO_frame_val.json',
            data_prefix=dict(img='uvo_videos_sparse_frames/'),
            partition='all-novel',
            split='novel',
        )
    ),
    [dict(type='ClassAgnosticRecallMetric', proposal_nums=(10, 100))],
)

# train_dataloader of detectors trained on PASCAL VOC 07+12 and tested on COCO.
# The names of VOC's classes in the order of COCO's ids, as labels are numbered
# there; mmdet's order is VOC's. Difficult objects are ignored.
voc_part = dict(
    type='VOCDataset',
    data_root='{{$VOC_ROOT:data/VOCdevkit}}',
    metainfo=dict(
        classes=(
            *('person', 'bicycle', 'car', 'motorbike', 'aeroplane', 'bus'),
            *('train', 'boat', 'bird', 'cat', 'dog', 'horse', 'sheep', 'cow'),
            *('bottle', 'chair', 'sofa', 'pottedplant', 'diningtable'),
            'tvmonitor',
        )
    ),
    filter_cfg=dict(filter_empty_gt=True, min_size=32),
    pipeline=_base_.train_pipeline,
)
voc = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        ignore_keys=['dataset_type'],
        datasets=[
            dict(
                voc_part,
                ann_file=f'VOC{year}/ImageSets/Main/trainval.txt',
                data_prefix=dict(sub_data_root=f'VOC{year}/'),
            )
            for year in (2007, 2012)
        ],
    )
)
