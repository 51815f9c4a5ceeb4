"""FCOS head that learns objectness cues, with or without a classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import Scale
from mmdet.models.dense_heads import FCOSHead
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.utils import (
    ConfigType,
    InstanceList,
    MultiConfig,
    OptConfigType,
    OptInstanceList,
    reduce_mean,
)
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmdet_owp.errors import UserError
from mmdet_owp.models.losses.unknown_mask_focal_loss import (
    Locations,
    UnknownMaskFocalLoss,
)

CUES = ('centerness', 'iou')


@MODELS.register_module()
class OWPFCOSHead(FCOSHead):
    r"""FCOS head for open-world proposals.

    A location (x, y) predicts distances (l, t, r, b) to the sides of a box
    and one or more *cues* of how good that box is, each one channel, trained
    with binary cross entropy. Equation numbers are those of the paper.

    - ``centerness``, :math:`C^* = \sqrt{\frac{\min(l^*,r^*)}{\max(l^*,r^*)}
      \cdot \frac{\min(t^*,b^*)}{\max(t^*,b^*)}}`;
    - ``iou``, :math:`I^* = \mathrm{IoU}(\hat R, R^*)`, the predicted box
      against the location's object, no gradient flowing into the box.

    *Objectness* is the geometric mean of the cues (of one, the cue itself).
    Every image gets ``proposals``: boxes of whatever class ranked by
    objectness. With a classifier it also gets class detections, scored class
    score times objectness, from the same forward pass.

    With ``objectness=('centerness', )`` and ``sampler=dict(
    ignore_crowd=False)`` losses and class detections are those of mmdet's
    ``FCOSHead``, whose remaining arguments apply here too.

    Args:
        num_classes (int): number of classes the classifier tells apart.
        in_channels (int): channels of the input feature maps.
        objectness (Sequence[str]): cues to learn, of ``'centerness'`` and
            ``'iou'``.
        sampler (dict): config of the :class:`IoUSampler`. Its
            ``center_radius`` is taken from this head's ``center_sampling``
            and ``center_sample_radius`` unless given.
        conditional (str, optional): lets the cues see the regression map, in
            units of the stride, concatenated with the last feature of the
            regression tower (``'tower'``) or with the input feature map
            (``'fpn'``).
        detach_condition (bool): whether the cues' gradient stops at the
            regression map they see.
        centerness_weighted (bool, optional): whether the regression loss is
            weighted by the centerness target and divided by its sum, instead
            of unweighted and divided by the number of positives. None:
            weighted if centerness is among the cues.
        proposal_score (str): rank proposals by ``'objectness'`` or by
            ``'cls'``, the best class score times objectness.
        freeze_regression (bool): whether regression tower, boxes, scales and
            cues are frozen, for training a classifier beside them (``frozen``
            in Table 3): no gradient, norms in eval mode, no losses.
        loss_cls (dict, optional): classification loss. None builds no
            classifier, and ``pred_instances`` then holds the proposals with
            label 0. :class:`UnknownMaskFocalLoss` also gets to see the
            predicted objectness and boxes.
        loss_objectness (dict): loss of each cue, on logits.
        centerness_on_reg (bool): whether the cues are predicted from the
            regression tower, as in the paper, or the classifier's.
        init_reg_bias (float): initial bias of ``conv_reg``. With
            ``norm_on_bbox`` negative distances are clamped to 0 and learn
            nothing; a positive bias avoids a late start.
        cue_prior (float, optional): initial probability of the cues. None:
            0.01 where the sampler uses background, else 0.5 (bias 0).
        init_cfg (dict | list[dict], optional): initialization. None: that of
            ``FCOSHead`` with the biases above.

    ``test_cfg.proposals`` (``nms_pre`` candidates a level, ``nms``,
    ``max_per_img``, optionally ``min_bbox_size``) controls the proposals as
    the keys beside it control the class detections.

    Example:
        >>> import torch
        >>> head = OWPFCOSHead(20, 64, feat_channels=64, loss_cls=None,
        ...                    objectness=('iou', ))
        >>> feats = [torch.rand(1, 64, s, s) for s in [16, 8, 4, 2, 1]]
        >>> _, distances, cues = head(feats)
        >>> distances[0].shape, cues[0].shape
        (torch.Size([1, 4, 16, 16]), torch.Size([1, 1, 16, 16]))
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        objectness: Sequence[str] = ('iou',),
        sampler: ConfigType = dict(type='IoUSampler'),
        conditional: str | None = None,
        detach_condition: bool = True,
        centerness_weighted: bool | None = None,
        proposal_score: str = 'objectness',
        freeze_regression: bool = False,
        loss_cls: OptConfigType = dict(
            type='FocalLoss',
            use_sigmoid=True,
            gamma=2.0,
            alpha=0.25,
            loss_weight=1.0,
        ),
        loss_objectness: ConfigType = dict(
            type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0
        ),
        centerness_on_reg: bool = True,
        center_sampling: bool = False,
        center_sample_radius: float = 1.5,
        init_reg_bias: float = 0.0,
        cue_prior: float | None = None,
        init_cfg: MultiConfig | None = None,
        **kwargs,
    ) -> None:
        objectness = tuple(objectness)
        if not objectness or set(objectness) - set(CUES):
            raise ValueError(
                f'objectness must name cues of {CUES}, not {objectness}'
            )
        if conditional not in (None, 'tower', 'fpn'):
            raise ValueError(
                "conditional must be None, 'tower' or 'fpn', not "
                f'{conditional!r}'
            )
        if proposal_score not in ('objectness', 'cls'):
            raise ValueError(
                "proposal_score must be 'objectness' or 'cls', "
                f'not {proposal_score!r}'
            )
        if loss_cls is None and (
            proposal_score == 'cls' or not centerness_on_reg
        ):
            raise ValueError(
                "proposal_score='cls' and centerness_on_reg="
                'False need a classifier, but loss_cls is None'
            )
        if conditional and not centerness_on_reg:
            raise ValueError(
                'conditional cues are on the regression tower: '
                'set centerness_on_reg=True'
            )
        if freeze_regression and (loss_cls is None or not centerness_on_reg):
            raise ValueError(
                'freeze_regression leaves a classifier to train, '
                'which no cue may be on: it needs loss_cls and '
                'centerness_on_reg=True'
            )
        self.objectness = objectness
        self.freeze_regression = freeze_regression
        self.conditional = conditional
        self.detach_condition = detach_condition
        self.centerness_weighted = (
            'centerness' in objectness
            if centerness_weighted is None
            else centerness_weighted
        )
        self.proposal_score = proposal_score
        self.with_cls = loss_cls is not None
        sampler = dict(sampler)
        sampler.setdefault(
            'center_radius', center_sample_radius if center_sampling else None
        )
        self.sampler = TASK_UTILS.build(sampler)
        if init_cfg is None:
            init_cfg = self._init_cfg(init_reg_bias, cue_prior)
        elif init_reg_bias or cue_prior is not None:
            raise UserError(
                'init_cfg replaces init_reg_bias and cue_prior: give either '
                'init_cfg or the other two'
            )
        super().__init__(
            num_classes,
            in_channels,
            center_sampling=center_sampling,
            center_sample_radius=center_sample_radius,
            centerness_on_reg=centerness_on_reg,
            # The parent cannot do without; the loss has no parameters.
            loss_cls=loss_cls or dict(type='FocalLoss'),
            loss_centerness=loss_objectness,
            init_cfg=init_cfg,
            **kwargs,
        )
        if not self.with_cls:
            self.loss_cls = None
        # Here and not in a hook: distributed wrappers look before these run.
        if freeze_regression:
            for module in self._regression():
                module.requires_grad_(False)

    def _init_cfg(
        self, init_reg_bias: float, cue_prior: float | None
    ) -> ConfigType:
        """Return the ``init_cfg`` of ``FCOSHead`` with our initial biases."""
        biases = {}
        if init_reg_bias:
            biases['conv_reg'] = dict(bias=init_reg_bias)
        if self.with_cls:
            biases['conv_cls'] = dict(bias_prob=0.01)
        if cue_prior is None and self.sampler.candidates == 'all':
            cue_prior = 0.01
        if cue_prior is not None:
            for cue in self.objectness:
                biases[f'conv_{cue}'] = dict(bias_prob=cue_prior)
        normal = dict(type='Normal', std=0.01)
        override = [dict(normal, name=n, **b) for n, b in biases.items()]
        return dict(normal, layer='Conv2d', override=override)

    def _regression(self) -> list[nn.Module]:
        """List the modules that boxes and cues are predicted by."""
        cues = [getattr(self, f'conv_{cue}') for cue in self.objectness]
        return [self.reg_convs, self.conv_reg, self.scales, *cues]

    def train(self, mode: bool = True) -> OWPFCOSHead:
        """Set to training mode, except what is frozen, or to eval mode.

        Args:
            mode (bool): whether to train.
        """
        super().train(mode)
        if self.freeze_regression:
            for module in self._regression():
                module.eval()
        return self

    def _init_cls_convs(self) -> None:
        """Build the classification tower, if there is a classifier."""
        if self.with_cls:
            super()._init_cls_convs()

    def _init_layers(self) -> None:
        """Build towers and predictors."""
        super()._init_layers()
        if not self.with_cls:
            del self.conv_cls
        del self.conv_centerness
        channels = self.feat_channels
        if self.conditional == 'fpn':
            channels = self.in_channels
        if self.conditional:
            channels += 4
        for cue in self.objectness:
            setattr(self, f'conv_{cue}', nn.Conv2d(channels, 1, 3, padding=1))

    def forward_single(
        self, x: Tensor, scale: Scale, stride: int
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Forward one level.

        Args:
            x (Tensor): (batch, in_channels, H, W) feature map.
            scale (Scale): learnt factor of the level's distances.
            stride (int): pixels between locations.

        Returns:
            tuple: class logits (batch, num_classes, H, W) or None; distances
            (l, t, r, b) of (batch, 4, H, W), in pixels, but in training with
            ``norm_on_bbox`` in strides, as in ``FCOSHead``; cue logits
            (batch, number of cues, H, W). The last two are None in training
            where they are frozen and the loss does not look at them.
        """
        cls_score, cls_feat = None, x
        if self.with_cls:
            for conv in self.cls_convs:
                cls_feat = conv(cls_feat)
            cls_score = self.conv_cls(cls_feat)
        if self.freeze_regression and self.training:
            if not self._masks_unknown:
                return cls_score, None, None
            x = x.detach()
        reg_feat = x
        for conv in self.reg_convs:
            reg_feat = conv(reg_feat)
        # In single precision, because fp16 overflows where boxes are large.
        distances = scale(self.conv_reg(reg_feat)).float()
        if self.norm_on_bbox:
            distances = distances.clamp(min=0)
            in_strides = distances
            if not self.training:
                distances = distances * stride
        else:
            distances = distances.exp()
            in_strides = distances / stride if self.conditional else None

        cue_feat = reg_feat if self.centerness_on_reg else cls_feat
        if self.conditional:
            if self.detach_condition:
                in_strides = in_strides.detach()
            seen = x if self.conditional == 'fpn' else reg_feat
            cue_feat = torch.cat([seen, in_strides.to(seen.dtype)], dim=1)
        cues = [
            getattr(self, f'conv_{cue}')(cue_feat) for cue in self.objectness
        ]
        return cls_score, distances, torch.cat(cues, dim=1)

    @property
    def _masks_unknown(self) -> bool:
        return isinstance(self.loss_cls, UnknownMaskFocalLoss)

    def loss_by_feat(
        self,
        cls_scores: list[Tensor | None],
        bbox_preds: list[Tensor | None],
        cue_logits: list[Tensor | None],
        batch_gt_instances: InstanceList,
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: OptInstanceList = None,
    ) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            cls_scores (list[Tensor | None]): of :meth:`forward_single`, per
                level.
            bbox_preds (list[Tensor | None]): likewise.
            cue_logits (list[Tensor | None]): likewise.
            batch_gt_instances (list[InstanceData]): ``bboxes`` (x1, y1, x2,
                y2) in pixels of the network input and ``labels``.
            batch_img_metas (list[dict]): unused.
            batch_gt_instances_ignore (list[InstanceData], optional): crowd
                regions in ``bboxes``.

        Returns:
            dict[str, Tensor]: ``loss_bbox`` and one ``loss_<cue>`` a cue,
            unless they are frozen, and, with a classifier, ``loss_cls``.
            :class:`UnknownMaskFocalLoss` adds what it logs.
        """
        sizes = [
            level.shape[-2:]
            for level in (cls_scores if self.with_cls else bbox_preds)
        ]
        boxes = [gt.bboxes for gt in batch_gt_instances]
        assigned = self.sampler.assign(
            sizes, self.strides, self.regress_ranges, boxes
        )
        in_regression = assigned.regression >= 0
        num_pos = _mean_over_processes(in_regression.sum(), at_least=1)
        crowd = self._crowd_only(sizes, boxes, batch_gt_instances_ignore)

        losses = dict()
        if self.with_cls:
            background = assigned.regression.new_full((1,), self.num_classes)
            labels = [gt.labels for gt in batch_gt_instances]
            # No box is number -1, which picks the appended background.
            labels = torch.cat([*labels, background])[assigned.regression]
            logits = _flatten(cls_scores)
            weight = None if crowd is None else (~crowd).float()
            if self._masks_unknown:
                losses.update(
                    self.loss_cls(
                        logits,
                        labels,
                        weight,
                        avg_factor=num_pos,
                        locations=self._locations(
                            sizes, bbox_preds, cue_logits, boxes
                        ),
                    )
                )
            else:
                losses['loss_cls'] = self.loss_cls(
                    logits, labels, weight, avg_factor=num_pos
                )
        if self.freeze_regression:
            return losses

        # Locations with a box; the host waits here for the device.
        inds = (assigned.cue >= 0).nonzero().squeeze(1)
        in_regression = in_regression[inds]
        preds = _flatten(bbox_preds)[inds]
        priors = self._priors(sizes, bbox_preds[0])[inds]
        points = priors[:, :2]
        matched = torch.cat(boxes)[assigned.cue[inds]]
        targets = torch.cat(
            [points - matched[:, :2], matched[:, 2:] - points], dim=1
        )
        if self.norm_on_bbox:
            targets = targets / priors[:, 2:3]
        # With both in units of the stride the boxes shrink toward the point
        # alike, which leaves their IoU as it is.
        pred_boxes = self.bbox_coder.decode(points, preds)
        target_boxes = self.bbox_coder.decode(points, targets)

        cue_targets = dict()
        if self.centerness_weighted or 'centerness' in self.objectness:
            cue_targets['centerness'] = self.centerness_target(targets)
        weight, avg_factor = in_regression.to(preds.dtype), num_pos
        if self.centerness_weighted:
            weight = weight * cue_targets['centerness']
            avg_factor = _mean_over_processes(weight.sum(), at_least=1e-6)
        losses['loss_bbox'] = self.loss_bbox(
            pred_boxes, target_boxes, weight, avg_factor=avg_factor
        )

        in_cue, cue_targets['iou'] = self.sampler.sample(
            pred_boxes, target_boxes, in_regression
        )
        num_cue = _mean_over_processes(in_cue.sum(), at_least=1)
        logits = _flatten(cue_logits)
        for i, cue in enumerate(self.objectness):
            target = cue_targets[cue]
            if self.sampler.candidates == 'all':
                cue_logit = logits[:, i]
                target = target.new_zeros(len(logits)).index_put(
                    (inds,), target
                )
                weight = None if crowd is None else (~crowd).float()
            else:
                cue_logit, weight = logits[inds, i], in_cue.to(target.dtype)
            losses[f'loss_{cue}'] = self.loss_centerness(
                cue_logit, target, weight, avg_factor=num_cue
            )
        return losses

    def _priors(self, sizes: list[tuple[int, int]], like: Tensor) -> Tensor:
        """Points and strides (x, y, s, s) of a batch, (num_locations, 4)."""
        priors = self.prior_generator.grid_priors(
            sizes, dtype=like.dtype, device=like.device, with_stride=True
        )
        return torch.cat([level.repeat(len(like), 1) for level in priors])

    @torch.no_grad()
    def _locations(
        self,
        sizes: list[tuple[int, int]],
        bbox_preds: list[Tensor],
        cue_logits: list[Tensor],
        gt_boxes: list[Tensor],
    ) -> Locations:
        """What unknown masking decides by."""
        boxes = None
        if self.loss_cls.mode == 'area':
            priors = self._priors(sizes, bbox_preds[0])
            distances = _flatten(bbox_preds)
            if self.norm_on_bbox:
                distances = distances * priors[:, 2:3]
            boxes = self.bbox_coder.decode(priors[:, :2], distances)
        objectness = _flatten([objectness_logits(c) for c in cue_logits])
        return Locations(
            objectness=objectness.squeeze(1).float().sigmoid(),
            in_object=self.sampler.covered(sizes, self.strides, gt_boxes),
            boxes=boxes,
            featmap_sizes=sizes,
            strides=self.strides,
        )

    def _crowd_only(
        self,
        sizes: list[tuple[int, int]],
        boxes: list[Tensor],
        ignored: OptInstanceList,
    ) -> Tensor | None:
        """Mark locations in a crowd region and in no object, (N, ) bool.

        None where there are none or where nobody asks: only the classifier
        and a cue with background take background locations.
        """
        has_background = self.with_cls or self.sampler.candidates == 'all'
        if not (self.sampler.ignore_crowd and has_background and ignored):
            return None
        regions = [
            box[:0] if region is None else region.bboxes
            for box, region in zip(boxes, ignored)
        ]
        if not any(map(len, regions)):
            return None
        covered = self.sampler.covered
        return covered(sizes, self.strides, regions) & ~covered(
            sizes, self.strides, boxes
        )

    def predict(
        self,
        x: tuple[Tensor],
        batch_data_samples: SampleList,
        rescale: bool = False,
    ) -> InstanceList:
        """Predict the proposals and, with a classifier, class detections.

        Args:
            x (tuple[Tensor]): feature maps.
            batch_data_samples (list[DetDataSample]): their ``metainfo`` is
                read; each gets ``proposals`` with ``bboxes`` (n, 4) as (x1,
                y1, x2, y2), ``scores`` (n, ), descending, and ``labels``,
                all 0.
            rescale (bool): boxes in pixels of the original image instead of
                the network input.

        Returns:
            list[InstanceData]: class detections of each image, or the
            proposals where there is no classifier.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        cls_scores, distances, cues = self(x)
        # Both lists score by the mean of the cues: take it once. Of one cue
        # it is the cue itself.
        outs = cls_scores, distances, [objectness_logits(c) for c in cues]
        proposals = self.propose_by_feat(*outs, metas, rescale=rescale)
        for sample, found in zip(batch_data_samples, proposals):
            sample.proposals = found
        if not self.with_cls:
            return proposals
        return self.predict_by_feat(
            *outs, batch_img_metas=metas, rescale=rescale
        )

    def predict_by_feat(
        self,
        cls_scores: list[Tensor | None],
        bbox_preds: list[Tensor],
        cue_logits: list[Tensor],
        batch_img_metas: list[dict] | None = None,
        cfg: OptConfigType = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> InstanceList:
        """Class detections scored class score times objectness.

        Without a classifier the proposals, with label 0. Arguments are those
        of :meth:`propose_by_feat`, but ``cfg`` defaults to ``test_cfg``.
        """
        if not self.with_cls:
            return self.propose_by_feat(
                cls_scores,
                bbox_preds,
                cue_logits,
                batch_img_metas,
                cfg,
                rescale,
                with_nms,
            )
        return super().predict_by_feat(
            cls_scores,
            bbox_preds,
            [objectness_logits(level) for level in cue_logits],
            batch_img_metas=batch_img_metas,
            cfg=cfg,
            rescale=rescale,
            with_nms=with_nms,
        )

    def propose_by_feat(
        self,
        cls_scores: list[Tensor | None],
        bbox_preds: list[Tensor],
        cue_logits: list[Tensor],
        batch_img_metas: list[dict],
        cfg: OptConfigType = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> InstanceList:
        """Class-agnostic proposals from the outputs of :meth:`forward`.

        Args:
            cls_scores (list[Tensor | None]): class logits, read only if
                ``proposal_score='cls'``.
            bbox_preds (list[Tensor]): distances in pixels, (batch, 4, H, W).
            cue_logits (list[Tensor]): (batch, number of cues, H, W).
            batch_img_metas (list[dict]): ``img_shape`` and, to rescale,
                ``scale_factor`` of each image.
            cfg (dict, optional): instead of ``test_cfg.proposals``, or of
                ``test_cfg`` where there is no such key.
            rescale (bool): as in :meth:`predict`.
            with_nms (bool): whether to suppress and cut.

        Returns:
            list[InstanceData]: as the ``proposals`` of :meth:`predict`.
        """
        if cfg is None:
            cfg = self.proposal_cfg
        boxes, scores = self.candidates_by_feat(
            cls_scores,
            bbox_preds,
            cue_logits,
            nms_pre=cfg.get('nms_pre', -1),
            max_shapes=[meta['img_shape'] for meta in batch_img_metas],
        )
        return [
            self._bbox_post_process(
                InstanceData(
                    bboxes=bboxes,
                    scores=score,
                    labels=torch.zeros_like(score, dtype=torch.long),
                ),
                cfg,
                rescale=rescale,
                with_nms=with_nms,
                img_meta=meta,
            )
            for bboxes, score, meta in zip(boxes, scores, batch_img_metas)
        ]

    @property
    def proposal_cfg(self) -> ConfigType:
        """What controls the proposals in ``test_cfg``."""
        return self.test_cfg.get('proposals', self.test_cfg)

    def candidates_by_feat(
        self,
        cls_scores: list[Tensor | None],
        bbox_preds: list[Tensor],
        cue_logits: list[Tensor],
        nms_pre: int,
        max_shapes: list[tuple[int, int]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Decode the best locations of each level, before suppression.

        It can be traced with sizes left open, if ``max_shapes`` is None.

        Args:
            cls_scores (list[Tensor | None]): as in :meth:`propose_by_feat`.
            bbox_preds (list[Tensor]): likewise.
            cue_logits (list[Tensor]): likewise.
            nms_pre (int): candidates a level at most; all if not positive.
            max_shapes (list[tuple[int, int]], optional): height and width
                that boxes of each image are cut at.

        Returns:
            tuple[Tensor, Tensor]: boxes (batch, n, 4) as (x1, y1, x2, y2) in
            pixels of the network input, and their scores (batch, n),
            descending within each level.
        """
        sizes = [level.shape[-2:] for level in bbox_preds]
        all_points = self.prior_generator.grid_priors(
            sizes, dtype=bbox_preds[0].dtype, device=bbox_preds[0].device
        )
        scores, distances, points = [], [], []
        for cls_score, bbox_pred, cues, level_points in zip(
            cls_scores, bbox_preds, cue_logits, all_points
        ):
            score = objectness(cues)
            if self.proposal_score == 'cls':
                best = cls_score.float().sigmoid().amax(1, keepdim=True)
                score = score * best
            score = score.flatten(1)
            score, top = score.topk(_at_most(nms_pre, score.shape[1]))
            scores.append(score)
            distances.append(
                bbox_pred.flatten(2)
                .transpose(1, 2)
                .gather(1, top[..., None].expand(-1, -1, 4))
            )
            points.append(level_points[top])
        boxes = self.bbox_coder.decode(
            torch.cat(points, 1), torch.cat(distances, 1), max_shape=max_shapes
        )
        return boxes, torch.cat(scores, 1)


def _at_most(nms_pre: int, num: int | Tensor) -> int | Tensor:
    """Cut the number of locations, which is a tensor while it is traced."""
    if nms_pre <= 0:
        return num
    if isinstance(num, Tensor):  # min() would freeze one of the two
        return torch.minimum(num, torch.tensor(nms_pre))
    return min(nms_pre, num)


def _flatten(levels: list[Tensor]) -> Tensor:
    """(batch, channels, H, W) a level to (num_locations, channels)."""
    return torch.cat(
        [
            level.permute(0, 2, 3, 1).reshape(-1, level.shape[1])
            for level in levels
        ]
    )


def _mean_over_processes(count: Tensor, at_least: float) -> Tensor:
    """Average a count over processes, without waiting for the device."""
    return reduce_mean(count.float()).clamp(min=at_least)


def objectness(cue_logits: Tensor) -> Tensor:
    """Geometric mean of the cues, (batch, 1, H, W)."""
    if cue_logits.shape[1] == 1:
        return cue_logits.float().sigmoid()
    # Not by objectness_logits: what it needs for logits, ONNX has not.
    return F.logsigmoid(cue_logits.float()).mean(1, keepdim=True).exp()


def objectness_logits(cue_logits: Tensor) -> Tensor:
    """Logit of the geometric mean of the cues, (batch, 1, H, W)."""
    if cue_logits.shape[1] == 1:
        return cue_logits
    log_mean = F.logsigmoid(cue_logits.float()).mean(1, keepdim=True)
    return log_mean - torch.log(-torch.expm1(log_mean))
