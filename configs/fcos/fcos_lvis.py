# Baseline, logits x centerness (Table 2).
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/lvis.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/fcos_baseline.py',
    '../_base_/lvis_model.py',
]

model = dict(
    bbox_head=dict(**_base_.fcos_head, **_base_.lvis_classes),
    test_cfg=_base_.lvis_test_cfg,
)

val_evaluator = _base_.val_evaluator + [_base_.class_wise]
test_evaluator = val_evaluator
