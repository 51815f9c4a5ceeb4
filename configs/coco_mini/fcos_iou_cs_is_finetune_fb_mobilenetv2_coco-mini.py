# finetune fb (Table 3): with frozen backbone and neck.
_base_ = './fcos_iou_cs_is_finetune_mobilenetv2_coco-mini.py'

model = dict(type='FrozenFeaturesFCOS')
