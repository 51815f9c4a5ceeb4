# Conditional IoU-CS-IS (Table 1), seeing the tower.
_base_ = './fcos_iou_cs_is_shapes.py'

model = dict(bbox_head=dict(conditional='tower'))
