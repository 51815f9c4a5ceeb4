# Table 3, frozen fb: from the proposer; only the classifier learns.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(type='FrozenFeaturesFCOS', bbox_head=_base_.frozen)
load_from = 'work_dirs/fcos_iou_cs_is_coco/iter_90000.pth'
custom_hooks = _base_.from_proposer
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
