# Tables 1 and 3, finetune: from the proposer, whose part learns slowly.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=_base_.joint)
load_from = 'work_dirs/fcos_iou_cs_is_coco/iter_90000.pth'
custom_hooks, optim_wrapper = _base_.finetune_90k
val_evaluator = test_evaluator = [_base_.recall, _base_.class_wise]
