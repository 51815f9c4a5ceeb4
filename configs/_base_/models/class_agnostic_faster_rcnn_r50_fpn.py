# mmdet's Faster R-CNN with one class. It keeps enough proposals for
# `exclude-base` to have 100 left after the removal.
_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'

model = dict(
    roi_head=dict(bbox_head=dict(num_classes=1)),
    train_cfg=dict(rpn_proposal=dict(max_per_img=2000)),
    test_cfg=dict(
        rpn=dict(nms_pre=2000, max_per_img=2000),
        rcnn=dict(
            score_thr=0.0,
            nms=dict(type='nms', iou_threshold=0.7),
            max_per_img=1500,
        ),
    ),
)
# The loaders of one class, `object`.
one_class = dict(dataset=dict(class_agnostic=True))
