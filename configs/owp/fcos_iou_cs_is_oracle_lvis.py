# The ceiling: IoU-CS-IS with the novel boxes in training.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn_lvis.py',
    '../_base_/datasets/lvis.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=dict(**_base_.iou_cs_is, num_classes=1203))
train_dataloader = dict(dataset=dict(split='all'))
