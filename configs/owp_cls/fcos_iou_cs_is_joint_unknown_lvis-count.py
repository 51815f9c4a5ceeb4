# Table 2: joint training, unknown-object masking from 5k iterations at 0.95.
# Novel classes by image count.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn_lvis.py',
    '../_base_/datasets/lvis.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=dict(_base_.joint, loss_cls=_base_.mask_unknown))
log_processor = _base_.log_masking
train_dataloader = val_dataloader = test_dataloader = _base_.by_count
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
