# A classifier beside the proposer, for a config's `model.bbox_head`, which a
# file of its own can't set, as two bases can't share a key.
focal_loss = dict(
    _delete_=True,
    type='FocalLoss',
    use_sigmoid=True,
    gamma=2.0,
    alpha=0.25,
    loss_weight=1.0,
)
# For networks whose init_cfg is not the head's own.
conv_cls_init = dict(type='Normal', name='conv_cls', std=0.01, bias_prob=0.01)
