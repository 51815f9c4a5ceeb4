# Class-agnostic Faster R-CNN on MobileNetV2.
_base_ = ['./class_agnostic_faster_rcnn_r50_fpn.py', './mobilenetv2_fpn.py']

model = _base_.mobilenetv2_rcnn
