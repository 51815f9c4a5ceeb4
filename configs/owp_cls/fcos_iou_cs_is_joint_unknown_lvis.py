# joint + unknown (Table 2): masked above 0.95, from iteration 5,000 on.
_base_ = './fcos_iou_cs_is_joint_lvis.py'

model = dict(
    bbox_head=dict(
        loss_cls=dict(
            type='UnknownMaskFocalLoss', threshold=0.95, start_iter=5000
        )
    )
)
log_processor = _base_.log_masking
