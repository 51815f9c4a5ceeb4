# IoU-CS-IS, the cue trained on centre and low-IoU locations.
_base_ = './fcos_iou_cs_is_center_mobilenetv2_coco-mini.py'

model = dict(bbox_head=dict(sampler=dict(candidates='center+hard')))
