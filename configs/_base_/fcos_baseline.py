# What makes FCOS of the proposer's network: a classifier and centerness, with
# proposals ranked by both. For `model.bbox_head`, which a file of its own
# can't set, as two bases can't share a key.
fcos_head = dict(
    objectness=('centerness', ),
    proposal_score='cls',
    # As stock FCOS, which takes crowd regions for background.
    sampler=dict(ignore_crowd=False),
    loss_cls=dict(
        _delete_=True,
        type='FocalLoss',
        use_sigmoid=True,
        gamma=2.0,
        alpha=0.25,
        loss_weight=1.0))
