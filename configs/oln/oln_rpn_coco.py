# OLN's first stage alone (1-RPN).
_base_ = './oln_box_coco.py'

model = _base_.first_stage
