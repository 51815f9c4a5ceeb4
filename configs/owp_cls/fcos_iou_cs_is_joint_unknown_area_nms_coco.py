# joint + unknown area masking after NMS (Appendix A, future work).
_base_ = './fcos_iou_cs_is_joint_unknown_area_coco.py'

model = dict(
    bbox_head=dict(loss_cls=dict(nms=dict(type='nms', iou_threshold=0.6)))
)
