# Baseline, logits x centerness, on the COCO subset.
_base_ = [
    '../_base_/models/owp_fcos_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
    '../_base_/fcos_baseline.py',
]

model = dict(bbox_head=_base_.fcos_head)

val_evaluator = _base_.val_evaluator + [_base_.class_wise]
test_evaluator = val_evaluator
