"""Region proposals by localization quality: the first stage of OLN."""

from __future__ import annotations

import torch.nn.functional as F
from mmdet.models.dense_heads import RPNHead
from mmdet.models.task_modules.prior_generators import anchor_inside_flags
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2distance
from mmdet.utils import ConfigType, InstanceList, reduce_mean
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmdet_owp.errors import UserError
from mmdet_owp.models.dense_heads.cues import centerness
from mmdet_owp.models.losses.quality_loss import quality_loss


@MODELS.register_module()
class OLNRPNHead(RPNHead):
    r"""Region proposal network that learns box quality instead of a class.

    Kim et al., *Learning Open-World Object Proposals without Learning to
    Classify*, Sec. III. The single anchor of each location predicts the
    distances to the sides of a box and one cue, the centerness of the anchor's
    center in its object,

    .. math:: C^* = \sqrt{\frac{\min(l^*,r^*)}{\max(l^*,r^*)}
              \cdot \frac{\min(t^*,b^*)}{\max(t^*,b^*)}},

    or 0 if the center is outside. There is no classifier. Both are predicted
    from a feature that is normalized to length 1 at each location.

    It is used alone in mmdet's ``RPN`` (1-RPN) or as the first stage of
    ``FasterRCNN``.

    Args:
        in_channels (int): channels of the input feature maps.
        loss_objectness (dict): loss of the cue, of its logit where the loss
            has ``use_sigmoid=True``, else of its sigmoid.
        init_reg_bias (float): initial bias of ``rpn_reg``. An empty box
            learns nothing; with 0.5 and ``TBLRBBoxCoder`` boxes start as
            their anchors.
        **kwargs: those of mmdet's ``RPNHead``, without ``loss_cls``. The
            anchor generator must generate one anchor per location.

    In addition to ``assigner`` and ``sampler`` for the boxes ``train_cfg`` has
    ``objectness_assigner`` and ``objectness_sampler`` for the cue. The target
    of positive samples is their centerness, that of negative samples 0. Both
    losses are divided by the number of box samples.

    Raises:
        UserError: if there is more than one anchor per location.

    Example:
        >>> import torch
        >>> head = OLNRPNHead(64, feat_channels=64, anchor_generator=dict(
        ...     type='AnchorGenerator', scales=[8], ratios=[1.0],
        ...     strides=[4, 8]))
        >>> cues, boxes = head([torch.rand(1, 64, s, s) for s in [16, 8]])
        >>> cues[0].shape, boxes[0].shape
        (torch.Size([1, 1, 16, 16]), torch.Size([1, 4, 16, 16]))
    """

    def __init__(
        self,
        in_channels: int,
        *,
        loss_objectness: ConfigType = dict(type='L1Loss', loss_weight=1.0),
        init_reg_bias: float = 0.0,
        **kwargs,
    ) -> None:
        if init_reg_bias:
            if 'init_cfg' in kwargs:
                raise UserError(
                    'init_cfg replaces init_reg_bias: give either of them'
                )
            normal = dict(type='Normal', std=0.01)
            bias = dict(normal, name='rpn_reg', bias=init_reg_bias)
            kwargs['init_cfg'] = dict(normal, layer='Conv2d', override=bias)
        super().__init__(
            in_channels,
            # ``RPNHead`` requires a loss; it is dropped below.
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True),
            **kwargs,
        )
        self.loss_cls = None
        self.loss_objectness = MODELS.build(loss_objectness)
        if self.train_cfg:
            self.objectness_assigner = TASK_UTILS.build(
                self.train_cfg['objectness_assigner']
            )
            self.objectness_sampler = TASK_UTILS.build(
                self.train_cfg['objectness_sampler'],
                default_args=dict(context=self),
            )

    def _init_layers(self) -> None:
        """Build the convolution and the predictors of boxes and cue."""
        if self.num_base_priors != 1:
            raise UserError(
                'OLNRPNHead takes one anchor per location, not '
                f'{self.num_base_priors}: give the anchor generator one '
                'scale and one ratio'
            )
        super()._init_layers()
        del self.rpn_cls
        self.rpn_obj = nn.Conv2d(self.feat_channels, 1, 1)

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Forward one level.

        Args:
            x (Tensor): (batch, in_channels, H, W) feature map.

        Returns:
            tuple[Tensor, Tensor]: cue logits (batch, 1, H, W), in place of
            ``RPNHead``'s class scores, and encoded boxes (batch, 4, H, W).
        """
        # In single precision: the epsilon of normalize() underflows in half.
        x = F.normalize(F.relu(self.rpn_conv(x)).float(), dim=1)
        return self.rpn_obj(x), self.rpn_reg(x)

    def loss_by_feat(self, *args, **kwargs) -> dict[str, list[Tensor]]:
        """Compute ``loss_rpn_obj`` and ``loss_rpn_bbox`` per level.

        Arguments are those of ``RPNHead``, with the cue logits as
        ``cls_scores``; labels of the ground truth are not used.
        """
        losses = super().loss_by_feat(*args, **kwargs)
        losses['loss_rpn_obj'] = losses.pop('loss_rpn_cls')
        return losses

    def loss_by_feat_single(
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        anchors: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        avg_factor: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Compute the losses of one level, N = batch * H * W anchors.

        Args:
            cls_score (Tensor): (batch, 1, H, W) cue logits.
            bbox_pred (Tensor): (batch, 4, H, W) encoded boxes.
            anchors (Tensor): (batch, H * W, 4) as (x1, y1, x2, y2).
            labels (Tensor): (batch, H * W) targets of the cue.
            label_weights (Tensor): (batch, H * W), 1 for samples of the cue.
            bbox_targets (Tensor): (batch, H * W, 4) targets of the boxes.
            bbox_weights (Tensor): (batch, H * W, 4), 1 for positive boxes.
            avg_factor (Tensor): number of box samples.

        Returns:
            tuple[Tensor, Tensor]: losses of the cue and the boxes.
        """
        loss_objectness = quality_loss(
            self.loss_objectness,
            cls_score.flatten(),
            labels.flatten(),
            label_weights.flatten(),
            avg_factor=avg_factor,
        )
        bbox_pred = bbox_pred.permute(0, 2, 3, 1).reshape(-1, 4)
        if self.reg_decoded_bbox:
            bbox_pred = self.bbox_coder.decode(
                anchors.reshape(-1, 4), bbox_pred
            )
        loss_bbox = self.loss_bbox(
            bbox_pred,
            bbox_targets.reshape(-1, 4),
            bbox_weights.reshape(-1, 4),
            avg_factor=avg_factor,
        )
        return loss_objectness, loss_bbox

    def get_targets(
        self, anchor_list: list[list[Tensor]], *args, **kwargs
    ) -> tuple:
        """Assign and sample as ``AnchorHead``.

        The targets and weights of the cue take the place of the labels'. The
        number of samples, returned last, is averaged over processes.
        """
        *targets, avg_factor = super().get_targets(
            anchor_list, *args, **kwargs
        )
        avg_factor = anchor_list[0][0].new_tensor(float(avg_factor))
        return (*targets, reduce_mean(avg_factor))

    def _get_targets_single(
        self,
        flat_anchors: Tensor,
        valid_flags: Tensor,
        gt_instances: InstanceData,
        img_meta: dict,
        gt_instances_ignore: InstanceData | None = None,
        unmap_outputs: bool = True,
    ) -> tuple:
        """Find the targets of an image.

        Target and weight of the cue, 1 for its samples, take the place of
        the labels and their weights.
        """
        _, _, *box_targets = super()._get_targets_single(
            flat_anchors,
            valid_flags,
            gt_instances,
            img_meta,
            gt_instances_ignore,
            unmap_outputs,
        )
        inside = anchor_inside_flags(
            flat_anchors,
            valid_flags,
            img_meta['img_shape'][:2],
            self.train_cfg['allowed_border'],
        )
        inds = inside.nonzero().squeeze(1)
        anchors = InstanceData(priors=flat_anchors[inds])
        assigned = self.objectness_assigner.assign(
            anchors, gt_instances, gt_instances_ignore
        )
        sampled = self.objectness_sampler.sample(
            assigned, anchors, gt_instances
        )
        targets, weights = flat_anchors.new_zeros(2, len(flat_anchors))
        weights[inds[sampled.neg_inds]] = 1
        weights[inds[sampled.pos_inds]] = 1
        targets[inds[sampled.pos_inds]] = anchor_centerness(
            sampled.pos_priors, sampled.pos_gt_bboxes
        )
        return (targets, weights, *box_targets)

    def predict(
        self,
        x: tuple[Tensor],
        batch_data_samples: SampleList,
        rescale: bool = False,
    ) -> InstanceList:
        """Predict boxes ranked by the cue.

        Args:
            x (tuple[Tensor]): feature maps per level.
            batch_data_samples (list[DetDataSample]): one per image.
            rescale (bool): whether boxes are in pixels of the original image
                instead of the network input. Detectors without a second stage
                set it; then samples also get the boxes as ``proposals``.

        Returns:
            list[InstanceData]: per image ``bboxes`` (n, 4) as (x1, y1, x2,
            y2), ``scores`` (n, ), descending, and ``labels``, all 0.
        """
        results = super().predict(x, batch_data_samples, rescale)
        if rescale:
            for sample, proposals in zip(batch_data_samples, results):
                sample.proposals = proposals
        return results


def anchor_centerness(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Centerness of the anchors' centers in their boxes, both (n, 4)."""
    centers = (anchors[:, :2] + anchors[:, 2:]) / 2
    return centerness(bbox2distance(centers, boxes))
