# The ceiling: IoU-CS-IS with the novel boxes in training.
_base_ = [
    '../_base_/models/owp_fcos_r18_fpn.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/schedule_shapes.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=dict(**_base_.iou_cs_is, num_classes=22))
train_dataloader = dict(dataset=dict(split='all'))
