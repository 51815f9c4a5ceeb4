# frozen fb (Table 3): with frozen backbone and neck.
_base_ = './fcos_iou_cs_is_frozen_coco.py'

model = dict(type='FrozenFeaturesFCOS')
