# Table 1: IoU-CS-IS, in the reading that Fig. 3 shows.
_base_ = [
    '../_base_/models/owp_fcos_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=_base_.iou_cs_is)
