# Baseline, logits x centerness, on the built-in data.
_base_ = [
    '../_base_/models/owp_fcos_r18_fpn.py',
    '../_base_/datasets/shapes.py', '../_base_/schedules/schedule_shapes.py'
]

model = dict(
    bbox_head=dict(
        objectness=('centerness', ),
        proposal_score='cls',
        # As stock FCOS, which takes crowd regions for background.
        sampler=dict(ignore_crowd=False),
        loss_cls=dict(
            _delete_=True,
            type='FocalLoss',
            use_sigmoid=True,
            gamma=2.0,
            alpha=0.25,
            loss_weight=1.0),
        init_cfg=dict(override=[
            dict(type='Normal', name='conv_reg', std=0.01, bias=2),
            dict(type='Normal', name='conv_cls', std=0.01, bias_prob=0.01)
        ])))

val_evaluator = _base_.val_evaluator + [
    dict(
        type='CocoMetric',
        ann_file=_base_.val_evaluator[0].ann_file,
        metric='bbox',
        prefix='base_class-wise')
]
test_evaluator = val_evaluator
