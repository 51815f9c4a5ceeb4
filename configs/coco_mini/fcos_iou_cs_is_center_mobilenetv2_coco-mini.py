# IoU-CS-IS, the cue trained on the centre locations.
_base_ = './fcos_iou_mobilenetv2_coco-mini.py'

model = dict(bbox_head=dict(sampler=dict(iou_thr=0.3)))
