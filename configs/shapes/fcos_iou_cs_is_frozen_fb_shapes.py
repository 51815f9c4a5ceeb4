# Table 3, frozen fb: from the proposer; only the classifier learns.
_base_ = [
    '../_base_/models/owp_fcos_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes.py',
    '../_base_/methods.py',
]

model = dict(type='FrozenFeaturesFCOS', bbox_head=_base_.frozen)
load_from = 'work_dirs/fcos_iou_cs_is_shapes/epoch_3.pth'
custom_hooks = _base_.from_proposer
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
