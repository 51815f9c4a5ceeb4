# Table 3, joint fb: backbone and neck frozen. The neck stays random.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(type='FrozenFeaturesFCOS', bbox_head=_base_.joint)
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
