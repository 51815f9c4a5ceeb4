# OLN-Box on MobileNetV2.
_base_ = ['./oln_box_r50_fpn.py', './mobilenetv2_fpn.py']

model = _base_.mobilenetv2_rcnn
