# IoU-CS-IS with the paper's solver, scaled to three epochs.
_base_ = [
    '../_base_/models/owp_fcos_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes_sgd.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=_base_.iou_cs_is)
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = _base_.paper_scheduler
