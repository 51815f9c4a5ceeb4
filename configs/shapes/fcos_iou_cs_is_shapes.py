# IoU-CS-IS, in the reading that Fig. 3 shows.
_base_ = './fcos_iou_shapes.py'

model = dict(
    bbox_head=dict(sampler=dict(candidates='center+hard', iou_thr=0.3))
)
