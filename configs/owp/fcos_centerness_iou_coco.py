# Table 1, OWP: sqrt(centerness * IoU).
_base_ = './fcos_iou_coco.py'

model = dict(bbox_head=dict(objectness=('centerness', 'iou')))
