# IoU-CS-IS by the paper's solver in small: 0.01, divided by ten after 60/90
# and 80/90, with 1000/90000 of the iterations to warm up.
_base_ = [
    '../_base_/models/owp_fcos_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes_sgd.py',
]

model = dict(
    bbox_head=dict(sampler=dict(candidates='center+hard', iou_thr=0.3))
)

optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [
    dict(_base_.param_scheduler[0], end=13),
    dict(_base_.param_scheduler[1], milestones=[802, 1069]),
]
