# Baseline: the first stage of class-agnostic Faster R-CNN alone.
_base_ = './class_agnostic_faster_rcnn_coco.py'

model = _base_.first_stage
