# IoU, all sampling (Appendix B). Most targets are 0, hence the prior.
_base_ = './fcos_iou_cs_is_shapes.py'

model = dict(
    bbox_head=dict(
        sampler=dict(candidates='all'),
        init_cfg=dict(
            override=_base_.model.bbox_head.init_cfg.override
            + [dict(type='Normal', name='conv_iou', std=0.01, bias_prob=0.01)]
        ),
    )
)
