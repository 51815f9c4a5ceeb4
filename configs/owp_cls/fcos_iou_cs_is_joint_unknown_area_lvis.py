# joint + unknown area masking (Table 4, from iteration 5,000 on).
_base_ = './fcos_iou_cs_is_joint_unknown_lvis.py'

model = dict(bbox_head=dict(loss_cls=dict(mode='area')))
