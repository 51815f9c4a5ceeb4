# Baseline, logits x centerness (first row of Tables 1 and 2).
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/fcos_baseline.py',
]

model = dict(bbox_head=_base_.fcos_head)

val_evaluator = _base_.val_evaluator + [_base_.class_wise]
test_evaluator = val_evaluator
