# The methods of the paper as named values. A leaf puts them where the heading
# says; those that replace a dict or None hold `_delete_=True`.

# model.bbox_head: cues, and the locations that train them. `iou_cs_is` is the
# reading that Fig. 3 shows, `center+hard`; the other two follow the text.
centerness = dict(objectness=('centerness',))
centerness_iou = dict(objectness=('centerness', 'iou'))
iou_cs_is = dict(sampler=dict(candidates='center+hard', iou_thr=0.3))
iou_cs_is_center = dict(sampler=dict(iou_thr=0.3))
iou_cs_is_foreground = dict(sampler=dict(candidates='foreground', iou_thr=0.3))
iou_all = dict(sampler=dict(candidates='all', iou_thr=0.3))

# model.bbox_head, beyond the paper: a refined box, and a cue that also learns
# background, where objects without a label are masked as for a classifier.
border = dict(**iou_cs_is, refine='border')
presence = dict(
    **iou_cs_is,
    objectness=('iou', 'presence'),
    presence_masking=dict(threshold=0.95, start_iter=5 / 90),
)
presence_border = dict(**presence, refine='border')

# model.bbox_head.loss_cls: classification losses, with and without masking of
# unknown objects. `start_iter` is a fraction of the training: 5k and 30k of
# the paper's 90k iterations.
focal_loss = dict(
    _delete_=True,
    type='FocalLoss',
    use_sigmoid=True,
    gamma=2.0,
    alpha=0.25,
    loss_weight=1.0,
)
mask_unknown = dict(
    focal_loss, type='UnknownMaskFocalLoss', threshold=0.95, start_iter=5 / 90
)
mask_unknown_late = dict(mask_unknown, threshold=0.925, start_iter=30 / 90)
mask_area = dict(mask_unknown, mode='area')
mask_area_nms = dict(mask_area, nms=dict(type='nms', iou_threshold=0.6))

# model.bbox_head: heads that classify. The baseline ranks proposals by class
# x centerness and, as stock FCOS, takes crowd regions for background.
baseline = dict(
    **centerness,
    proposal_score='cls',
    sampler=dict(ignore_crowd=False),
    loss_cls=focal_loss,
)
joint = dict(**iou_cs_is, loss_cls=focal_loss)
frozen = dict(**joint, freeze_regression=True)

# custom_hooks of finetune and frozen: only the classifier is missing from the
# checkpoint of the proposer.
from_proposer = [
    dict(
        type='CheckpointMatchHook',
        new_weights=['bbox_head.cls_convs', 'bbox_head.conv_cls'],
    )
]
# optim_wrapper of finetune: boxes and cues learn at a tenth of the rate.
slow_regression = dict(
    paramwise_cfg=dict(
        custom_keys={
            'bbox_head.reg_convs': dict(lr_mult=0.1),
            'bbox_head.conv_reg': dict(lr_mult=0.1),
            'bbox_head.scales': dict(lr_mult=0.1),
            'bbox_head.conv_iou': dict(lr_mult=0.1),
            'bbox_head.conv_centerness': dict(lr_mult=0.1),
            'bbox_head.conv_presence': dict(lr_mult=0.1),
            'bbox_head.presence_tower': dict(lr_mult=0.1),
            'bbox_head.border': dict(lr_mult=0.1),
            'bbox_head.conv_refine': dict(lr_mult=0.1),
        }
    )
)
# The same on schedule_90k: a key overrides its `norm_decay_mult`, so that the
# norms need keys that say it again.
slow_regression_90k = dict(
    paramwise_cfg=dict(
        custom_keys=dict(
            slow_regression['paramwise_cfg']['custom_keys'],
            **{
                f'bbox_head.{part}.gn': dict(lr_mult=0.1, decay_mult=0.0)
                for part in (
                    *(f'reg_convs.{i}' for i in range(4)),
                    *(f'presence_tower.{i}' for i in range(4)),
                    'border.merge',
                )
            },
        )
    )
)
# log_processor of unknown masking, over windows of 50 iterations.
log_masking = dict(
    custom_cfg=[
        dict(data_src='masked_background', method_name='mean', window_size=50),
        dict(
            data_src='background_objectness_max',
            method_name='max',
            window_size=50,
        ),
    ]
)
# custom_hooks, optim_wrapper; with masking also log_processor.
finetune = (from_proposer, slow_regression)
finetune_unknown = (*finetune, log_masking)
finetune_90k = (from_proposer, slow_regression_90k)
finetune_unknown_90k = (*finetune_90k, log_masking)

# model: the first stage of a two-stage detector alone, with its own NMS.
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
# model: OLN-Box that learns within a few thousand iterations. The published L1
# loss of a sigmoid, with most targets 0, keeps both scores near 0 for longer.
bce_loss = dict(
    _delete_=True, type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0
)
oln_short = dict(
    rpn_head=dict(loss_objectness=bce_loss),
    roi_head=dict(bbox_head=dict(loss_bbox_score=bce_loss)),
    train_cfg=dict(rpn=dict(objectness_sampler=dict(num=64))),
)
# model: a classifier in OLN's second stage, beside the box score.
second_stage_cls = dict(
    roi_head=dict(
        bbox_head=dict(
            loss_cls=dict(
                type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0
            )
        )
    )
)
