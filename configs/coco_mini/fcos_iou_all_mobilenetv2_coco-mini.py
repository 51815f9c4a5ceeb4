# IoU, all sampling (Appendix B).
_base_ = './fcos_iou_cs_is_center_mobilenetv2_coco-mini.py'

model = dict(bbox_head=dict(sampler=dict(candidates='all')))
