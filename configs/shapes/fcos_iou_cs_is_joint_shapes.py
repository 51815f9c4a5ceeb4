# joint (Tables 1 and 3): boxes, cue and classes trained together.
_base_ = ['./fcos_iou_cs_is_shapes.py', '../_base_/owp_cls.py']

model = dict(
    bbox_head=dict(
        loss_cls=_base_.focal_loss,
        init_cfg=dict(
            override=_base_.model.bbox_head.init_cfg.override
            + [_base_.conv_cls_init]
        ),
    )
)

val_evaluator = _base_.val_evaluator + [_base_.class_wise]
test_evaluator = val_evaluator
