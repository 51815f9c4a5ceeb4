# Baseline, logits x centerness, on the built-in data.
_base_ = [
    '../_base_/models/owp_fcos_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes.py',
    '../_base_/fcos_baseline.py',
]

model = dict(
    bbox_head=dict(
        **_base_.fcos_head,
        init_cfg=dict(
            override=_base_.model.bbox_head.init_cfg.override
            + [_base_.conv_cls_init]
        ),
    )
)

val_evaluator = _base_.val_evaluator + [_base_.class_wise]
test_evaluator = val_evaluator
