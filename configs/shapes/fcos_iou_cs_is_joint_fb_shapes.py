# joint fb (Table 3): with frozen backbone and neck.
# Both stay random: this network has no ImageNet weights.
_base_ = './fcos_iou_cs_is_joint_shapes.py'

model = dict(type='FrozenFeaturesFCOS')
