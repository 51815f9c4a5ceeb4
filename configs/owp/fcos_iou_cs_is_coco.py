# Table 1, OWP: IoU-CS-IS, in the reading that Fig. 3 shows.
_base_ = './fcos_iou_cs_is_center-hard_coco.py'
