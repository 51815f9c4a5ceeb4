# frozen fb (Table 3): with frozen backbone and neck.
_base_ = './fcos_iou_cs_is_frozen_mobilenetv2_coco-mini.py'

model = dict(type='FrozenFeaturesFCOS')
