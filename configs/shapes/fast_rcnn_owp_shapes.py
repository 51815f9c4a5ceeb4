# Fast R-CNN on the base classes of the built-in data, from the proposals of
# fcos_iou_cs_is_shapes that tools/dump_proposals.py writes.
_base_ = [
    'mmdet::_base_/models/fast-rcnn_r50_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes.py',
]

model = dict(
    backbone=dict(
        depth=18,
        base_channels=32,
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=None,
    ),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=48, num_outs=4),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=48),
        bbox_head=dict(in_channels=48, fc_out_channels=256, num_classes=8),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=0.001))

pipeline = [
    _base_.pipeline[0],
    dict(type='LoadProposals', num_max_proposals=500),
    _base_.pipeline[1],
    dict(type='ProposalBroadcaster', transforms=_base_.pipeline[2:-1]),
    _base_.pipeline[-1],
]
train_dataloader = dict(
    dataset=dict(
        proposal_file='proposals/fcos_iou_cs_is_shapes_train.pkl',
        pipeline=pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        proposal_file='proposals/fcos_iou_cs_is_shapes_val.pkl',
        pipeline=pipeline,
    )
)
test_dataloader = val_dataloader
# The proposals are of one view.
tta_pipeline = None

val_evaluator = test_evaluator = [_base_.class_wise]
