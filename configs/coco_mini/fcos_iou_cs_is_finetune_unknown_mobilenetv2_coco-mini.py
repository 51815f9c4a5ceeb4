# Fig. 6b: finetune, unknown-object masking from 30k of 90k at 0.925.
_base_ = [
    '../_base_/models/owp_fcos_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=dict(_base_.joint, loss_cls=_base_.mask_unknown_late))
load_from = 'work_dirs/fcos_iou_cs_is_mobilenetv2_coco-mini/epoch_6.pth'
custom_hooks, optim_wrapper, log_processor = _base_.finetune_unknown
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
