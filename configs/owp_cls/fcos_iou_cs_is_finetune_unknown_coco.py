# Fig. 6b: finetune, unknown-object masking from 30k iterations at 0.925.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=dict(_base_.joint, loss_cls=_base_.mask_unknown_late))
load_from = 'work_dirs/fcos_iou_cs_is_coco/iter_90000.pth'
custom_hooks, optim_wrapper, log_processor = _base_.finetune_unknown_90k
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
