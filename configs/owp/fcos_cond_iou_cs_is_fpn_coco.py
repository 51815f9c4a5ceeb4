# Table 1, OWP: conditional IoU-CS-IS, seeing the FPN map (Sec. 3.2).
_base_ = './fcos_cond_iou_cs_is_coco.py'

model = dict(bbox_head=dict(conditional='fpn'))
