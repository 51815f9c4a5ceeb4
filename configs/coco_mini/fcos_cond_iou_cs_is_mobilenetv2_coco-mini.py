# Table 1: conditional IoU-CS-IS, seeing the tower (Fig. 2).
_base_ = [
    '../_base_/models/owp_fcos_mobilenetv2_fpn.py',
    '../_base_/datasets/coco_mini.py',
    '../_base_/schedules/schedule_epochs.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=dict(**_base_.iou_cs_is, conditional='tower'))
