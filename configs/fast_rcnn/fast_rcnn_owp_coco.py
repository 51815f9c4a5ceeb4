# Fast R-CNN on the base classes, from the proposals of fcos_iou_cs_is_coco
# that tools/dump_proposals.py writes.
_base_ = [
    'mmdet::_base_/models/fast-rcnn_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
]

model = dict(roi_head=dict(bbox_head=dict(num_classes=20)))
optim_wrapper = dict(optimizer=dict(lr=0.02))

load_proposals = dict(type='LoadProposals', num_max_proposals=1500)
train_dataloader = dict(
    dataset=dict(
        proposal_file='proposals/fcos_iou_cs_is_coco_train.pkl',
        pipeline=[
            _base_.train_pipeline[0],
            load_proposals,
            _base_.train_pipeline[1],
            dict(
                type='ProposalBroadcaster',
                transforms=_base_.train_pipeline[2:-1],
            ),
            _base_.train_pipeline[-1],
        ],
    )
)
val_dataloader = dict(
    dataset=dict(
        proposal_file='proposals/fcos_iou_cs_is_coco_val.pkl',
        pipeline=[
            _base_.test_pipeline[0],
            load_proposals,
            dict(
                type='ProposalBroadcaster',
                transforms=_base_.test_pipeline[1:2],
            ),
            _base_.test_pipeline[-1],
        ],
    )
)
test_dataloader = val_dataloader
# The proposals are of one view.
tta_pipeline = None

# Not `recall`: the samples hold the proposals that came in.
val_evaluator = test_evaluator = [_base_.class_wise]
