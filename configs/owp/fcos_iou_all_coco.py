# Appendix B: IoU, all sampling.
_base_ = './fcos_iou_cs_is_center_coco.py'

model = dict(bbox_head=dict(sampler=dict(candidates='all')))
