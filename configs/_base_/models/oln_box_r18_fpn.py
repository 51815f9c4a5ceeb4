# OLN-Box on the small network of the built-in data.
_base_ = ['./oln_box_r50_fpn.py', './r18_fpn.py']

model = dict(
    **_base_.r18_rcnn,
    roi_head=dict(
        _base_.r18_roi_head,
        bbox_head=dict(_base_.r18_roi_head.bbox_head, num_classes=8),
    ),
)
