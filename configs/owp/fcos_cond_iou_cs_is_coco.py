# Table 1, OWP: conditional IoU-CS-IS, seeing the tower (Fig. 2).
_base_ = './fcos_iou_cs_is_coco.py'

model = dict(bbox_head=dict(conditional='tower'))
