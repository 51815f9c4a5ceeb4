# finetune + unknown (Fig. 6b): masked above 0.925, from iteration 30,000 on.
_base_ = './fcos_iou_cs_is_finetune_coco.py'

model = dict(
    bbox_head=dict(
        loss_cls=dict(
            type='UnknownMaskFocalLoss', threshold=0.925, start_iter=30000
        )
    )
)
log_processor = _base_.log_masking
