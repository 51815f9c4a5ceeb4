# What makes other detectors of two stages, for `model`, which a file of its
# own can't set, as two bases can't share a key.

# The first stage alone, which then suppresses on its own.
first_stage = dict(
    type='RPN',
    roi_head=None,
    test_cfg=dict(
        rpn=dict(
            nms_pre=2000,
            max_per_img=1500,
            nms=dict(_delete_=True, type='nms', iou_threshold=0.7),
        )
    ),
)
# A classifier in OLN's second stage, beside the box score.
second_stage_cls = dict(
    roi_head=dict(
        bbox_head=dict(
            loss_cls=dict(
                type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0
            )
        )
    )
)
