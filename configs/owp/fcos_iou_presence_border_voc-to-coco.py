# Beyond the paper, trained on PASCAL VOC 07+12, tested on COCO.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=_base_.presence_border)
train_dataloader = _base_.voc
train_cfg, param_scheduler = _base_.schedule_18k
