# OLN's first stage alone (1-RPN).
_base_ = './oln_box_mobilenetv2_coco-mini.py'

model = _base_.first_stage
