# Trained on all 80 classes of COCO, tested on UVO.
_base_ = './fcos_iou_cs_is_coco-to-uvo.py'

all_classes = dict(dataset=dict(split='all'))
train_dataloader = all_classes
val_dataloader = all_classes
val_evaluator = [
    dict(_base_.val_evaluator[0], split='all', protocol='drop-base')
]
model = dict(bbox_head=dict(num_classes=80))
