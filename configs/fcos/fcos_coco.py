# Baseline, logits x centerness (first row of Tables 1 and 2).
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py', '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py'
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
            loss_weight=1.0)))

val_evaluator = _base_.val_evaluator + [
    dict(
        type='CocoMetric',
        ann_file=_base_.val_evaluator[0].ann_file,
        metric='bbox',
        prefix='base_class-wise')
]
test_evaluator = val_evaluator
