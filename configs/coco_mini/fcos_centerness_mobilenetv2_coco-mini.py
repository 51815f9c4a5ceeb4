# Centerness (Table 1).
_base_ = './fcos_iou_mobilenetv2_coco-mini.py'

model = dict(bbox_head=dict(objectness=('centerness',)))
