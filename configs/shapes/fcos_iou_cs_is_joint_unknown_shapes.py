# joint + unknown (Table 1): masked above 0.95, after 5/90 of the training.
_base_ = './fcos_iou_cs_is_joint_shapes.py'

model = dict(
    bbox_head=dict(
        loss_cls=dict(
            type='UnknownMaskFocalLoss', threshold=0.95, start_iter=5 / 90
        )
    )
)
log_processor = _base_.log_masking
