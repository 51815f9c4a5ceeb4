# Table 1, OWP: centerness.
_base_ = './fcos_iou_coco.py'

model = dict(bbox_head=dict(objectness=('centerness',)))
