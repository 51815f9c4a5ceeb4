# What makes FCOS of the proposer's network, for `model.bbox_head`: a
# classifier and centerness, with proposals ranked by both.
_base_ = './classifier.py'

fcos_head = dict(
    objectness=('centerness',),
    proposal_score='cls',
    # As stock FCOS, which takes crowd regions for background.
    sampler=dict(ignore_crowd=False),
    loss_cls=_base_.focal_loss,
)
