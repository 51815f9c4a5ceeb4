# Table 2, OWP: IoU-CS-IS, in the reading that Fig. 3 shows.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/lvis.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/lvis_model.py',
]

model = dict(
    bbox_head=dict(
        sampler=dict(candidates='center+hard', iou_thr=0.3),
        **_base_.lvis_classes,
    ),
    test_cfg=_base_.lvis_test_cfg,
)
