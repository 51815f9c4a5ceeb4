# Tables 1 and 3, joint: boxes, cue and classes trained together.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=_base_.joint)
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
