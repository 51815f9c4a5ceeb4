# Table 1: conditional IoU-CS-IS, seeing the tower (Fig. 2).
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=dict(**_base_.iou_cs_is, conditional='tower'))
