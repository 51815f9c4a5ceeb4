# IoU-CS-IS, the cue trained on all locations in a box.
_base_ = './fcos_iou_cs_is_center_mobilenetv2_coco-mini.py'

model = dict(bbox_head=dict(sampler=dict(candidates='foreground')))
