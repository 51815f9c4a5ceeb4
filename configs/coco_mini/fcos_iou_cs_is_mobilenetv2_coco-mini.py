# IoU-CS-IS, in the reading that Fig. 3 shows.
_base_ = './fcos_iou_cs_is_center-hard_mobilenetv2_coco-mini.py'
