# Sec. 3.2: conditional centerness.
_base_ = './fcos_centerness_coco.py'

model = dict(bbox_head=dict(conditional='tower'))
