# joint + unknown area masking (Appendix A).
_base_ = './fcos_iou_cs_is_joint_unknown_coco.py'

model = dict(bbox_head=dict(loss_cls=dict(mode='area')))
