# What the recipes of Table 3 are made of; each goes where its comment says.
_base_ = './classifier.py'

# finetune (optim_wrapper): boxes and cues learn ten times slower.
slow_regression = dict(
    paramwise_cfg=dict(
        custom_keys={
            'bbox_head.reg_convs': dict(lr_mult=0.1),
            'bbox_head.conv_reg': dict(lr_mult=0.1),
            'bbox_head.scales': dict(lr_mult=0.1),
            'bbox_head.conv_iou': dict(lr_mult=0.1),
            'bbox_head.conv_centerness': dict(lr_mult=0.1),
        }
    )
)
# finetune and frozen (custom_hooks): the classifier is new to the proposer
# that they start from, nothing else is.
from_proposer = [
    dict(
        type='CheckpointMatchHook',
        new_weights=['bbox_head.cls_convs', 'bbox_head.conv_cls'],
    )
]
# unknown masking (log_processor): of each 50 iterations the mean share of the
# background masked and the highest objectness on it.
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
