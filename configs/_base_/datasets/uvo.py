# Frames of UVO, for `test_dataloader` and `test_evaluator` of a detector
# trained elsewhere, which a file of its own can't set, as two bases can't
# share a key. None of its objects is of a class that training knew.
uvo_root = '{{$UVO_ROOT:data/uvo}}'
uvo_ann_file = 'FrameSet/UVO_frame_val.json'
uvo_dataloader = dict(
    dataset=dict(
        data_root=uvo_root,
        ann_file=uvo_ann_file,
        data_prefix=dict(img='uvo_videos_sparse_frames/'),
        partition='all-novel',
        split='novel',
    )
)
uvo_evaluator = [
    dict(
        type='ClassAgnosticRecallMetric',
        ann_file=uvo_root + '/' + uvo_ann_file,
        partition='all-novel',
        proposal_nums=(10, 100),
    )
]
