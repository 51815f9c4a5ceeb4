# finetune + unknown (Fig. 6b): masked above 0.925, after a third of the
# training.
_base_ = './fcos_iou_cs_is_finetune_shapes.py'

model = dict(
    bbox_head=dict(
        loss_cls=dict(
            type='UnknownMaskFocalLoss', threshold=0.925, start_iter=30 / 90
        )
    )
)
log_processor = _base_.log_masking
