# Centerness (Table 1).
_base_ = './fcos_iou_shapes.py'

model = dict(bbox_head=dict(objectness=('centerness',)))
