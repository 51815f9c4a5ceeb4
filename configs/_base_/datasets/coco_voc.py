# COCO 2017: trained on the 20 VOC classes, evaluated on the other 60 too.
_base_ = ['mmdet::_base_/datasets/coco_detection.py', './metrics.py']

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
