# OLN-Box: Faster R-CNN whose stages learn how good a box is, not its class.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'

model = dict(
    rpn_head=dict(
        _delete_=True,
        type='OLNRPNHead',
        in_channels=256,
        feat_channels=256,
        anchor_generator=dict(
            type='AnchorGenerator',
            scales=[8],
            ratios=[1.0],
            strides=[4, 8, 16, 32, 64],
        ),
        bbox_coder=dict(type='TBLRBBoxCoder', normalizer=1.0),
        reg_decoded_bbox=True,
        loss_bbox=dict(type='IoULoss', mode='linear', loss_weight=10.0),
        loss_objectness=dict(type='L1Loss', loss_weight=1.0),
        # An empty box has no gradient: start from half an anchor to each side,
        # the anchor itself, not from zero as released.
        init_reg_bias=0.5,
    ),
    roi_head=dict(
        type='OLNRoIHead',
        bbox_head=dict(
            _delete_=True,
            type='Shared2FCBBoxScoreHead',
            in_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            num_classes=20,
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder',
                target_means=[0.0, 0.0, 0.0, 0.0],
                target_stds=[0.1, 0.1, 0.2, 0.2],
            ),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0),
            loss_bbox_score=dict(type='L1Loss', loss_weight=1.0),
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            # The cue learns centerness on anchors from IoU 0.3, and 0 on
            # anchors below 0.1 that fill the batch up to 256.
            objectness_assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.3,
                neg_iou_thr=0.1,
                min_pos_iou=0.3,
                ignore_iof_thr=-1,
            ),
            objectness_sampler=dict(
                type='RandomSampler',
                num=256,
                pos_fraction=1.0,
                neg_pos_ub=-1,
                add_gt_as_proposals=False,
            ),
            allowed_border=0,
        ),
        # Every candidate goes on: 2000 per level, not 2000 in total.
        rpn_proposal=dict(nms_pre=2000, max_per_img=None, nms=None),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=2000, max_per_img=None, nms=None),
        # Beside the class detections, where there is a classifier.
        rcnn=dict(
            proposals=dict(
                nms=dict(type='nms', iou_threshold=0.7, split_thr=100000),
                max_per_img=1500,
            )
        ),
    ),
)
