# OLN-Box on MobileNetV2.
_base_ = ['./oln_box_r50_fpn.py', '../mobilenetv2.py']

model = _base_.mobilenetv2_rcnn
