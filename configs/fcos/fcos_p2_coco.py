# Baseline, logits x centerness, with a level of stride 4.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(**_base_.p2, bbox_head=dict(**_base_.baseline, **_base_.p2_head))
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
