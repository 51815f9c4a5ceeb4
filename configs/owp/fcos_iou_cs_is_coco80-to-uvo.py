# IoU-CS-IS trained on all 80 classes of COCO, tested on UVO.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=dict(**_base_.iou_cs_is, num_classes=80))
train_dataloader = val_dataloader = dict(dataset=dict(split='all'))
val_evaluator = [dict(_base_.recall, split='all', protocol='drop-base')]
test_dataloader, test_evaluator = _base_.uvo
