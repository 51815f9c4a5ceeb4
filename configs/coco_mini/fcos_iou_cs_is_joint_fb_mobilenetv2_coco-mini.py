# joint fb (Table 3): with frozen backbone and neck.
# The neck stays random.
_base_ = './fcos_iou_cs_is_joint_mobilenetv2_coco-mini.py'

model = dict(type='FrozenFeaturesFCOS')
