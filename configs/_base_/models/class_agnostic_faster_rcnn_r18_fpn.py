# Class-agnostic Faster R-CNN on the small network of the built-in data.
_base_ = ['./class_agnostic_faster_rcnn_r50_fpn.py', './r18_fpn.py']

model = dict(**_base_.r18_rcnn, roi_head=_base_.r18_roi_head)
