"""FCOS head that learns objectness cues, with or without a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmcv.cnn import ConvModule, Scale
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
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmdet_owp.errors import UserError
from mmdet_owp.models.dense_heads.border_refinement import (
    BorderFeatures,
    move_sides,
)
from mmdet_owp.models.dense_heads.cues import (
    CUES,
    LOSSES,
    Located,
    centerness,
    localization_cues,
    objectness,
    objectness_logits,
)
from mmdet_owp.models.losses.box_loss import box_loss
from mmdet_owp.models.task_modules.locations import (
    covered_locations,
    flatten_levels,
    location_grid,
)
from mmdet_owp.models.task_modules.unknown_masking import (
    MaskingInputs,
    UnknownMasking,
)


class BoxTargets(NamedTuple):
    """Targets of the n locations that have a box for regression or cues.

    Attributes:
        inds (Tensor): (n, ) int64, which locations they are.
        in_regression (Tensor): (n, ) bool, whether they train the regression.
        points (Tensor): (n, 2) their (x, y) in pixels.
        distances (Tensor): (n, 4) to the sides (l, t, r, b) of their box, in
            pixels, with ``norm_on_bbox`` in strides.
    """

    inds: Tensor
    in_regression: Tensor
    points: Tensor
    distances: Tensor


class Targets(NamedTuple):
    """Targets of the locations of a batch.

    Attributes:
        num_pos (Tensor): number of locations that train the regression.
        labels (Tensor, optional): (num_locations, ) int64, ``num_classes``
            for background. None without a classifier.
        boxes (BoxTargets, optional): None with a frozen regression.
    """

    num_pos: Tensor
    labels: Tensor | None
    boxes: BoxTargets | None


@MODELS.register_module()
class OWPFCOSHead(FCOSHead):
    r"""FCOS head for open-world proposals.

    Each location (x, y) predicts distances (l, t, r, b) to the sides of a box
    and one or more *cues* of the quality of that box, one channel each. Two
    are the paper's, trained with binary cross entropy:

    - ``centerness``, :math:`C^* = \sqrt{\frac{\min(l^*,r^*)}{\max(l^*,r^*)}
      \cdot \frac{\min(t^*,b^*)}{\max(t^*,b^*)}}`;
    - ``iou``, :math:`I^* = \mathrm{IoU}(\hat R, R^*)` of the predicted box
      and the location's object; the predicted box gets no gradient.
    - ``presence``, not of the paper: the IoU as well, but trained on all
      locations, with target 0 on background, by a varifocal loss. Background
      is where the sampler gives no box, with ``candidates='center'`` also the
      part of an object outside of its center region.

    *Objectness* is the geometric mean of the cues. Each sample gets
    ``proposals``, class-agnostic boxes ranked by objectness, and with a
    classifier also class detections, scored class score times objectness,
    from the same forward pass.

    With ``objectness=('centerness', )`` and ``sampler=dict(
    ignore_crowd=False)`` losses and class detections equal those of mmdet's
    ``FCOSHead``, whose remaining arguments apply here too.

    Args:
        num_classes (int): number of classes of the classifier.
        in_channels (int): channels of the input feature maps.
        objectness (Sequence[str]): cues to learn, of :data:`cues.CUES`.
        sampler (dict): config of the :class:`IoUSampler`. Its
            ``center_radius`` defaults to what ``center_sampling`` and
            ``center_sample_radius`` of this head say.
        conditional (str, optional): also give the cues the regression map, in
            units of the stride, concatenated with the last feature of the
            regression tower (``'tower'``) or the input feature map
            (``'fpn'``).
        detach_condition (bool): whether to stop the cues' gradient at that
            regression map.
        refine (str, optional): ``'border'``: predict the box a second time,
            and the cues, from :class:`BorderFeatures` of the first box. The
            second box is the prediction, and the one that the cues are
            measured against. The first keeps its loss, ``loss_bbox``, and
            gets no gradient from the second. None: one box.
        loss_bbox_refine (dict, optional): loss of the second box, on the
            locations and with the weights of the first. None: that of the
            first.
        presence_masking (dict, optional): arguments of
            :class:`UnknownMasking` for the cue ``presence``: background that
            it masks is not trained toward 0. None: no masking.
        presence_convs (int): convolutions of a tower of its own for the cue
            ``presence``. 0: it sees what the other cues see.
        centerness_weighted (bool, optional): whether to weight the regression
            loss by the centerness target and divide it by the sum of these,
            instead of the number of positives. None: if centerness is a cue.
        proposal_score (str): rank proposals by ``'objectness'`` or by
            ``'cls'``, the best class score times objectness.
        freeze_regression (bool): whether to freeze regression tower, boxes,
            scales and cues (``frozen`` in Table 3): no gradient, norms in
            eval mode, no losses.
        loss_cls (dict, optional): classification loss. None: no classifier;
            ``pred_instances`` then holds the proposals with label 0.
        centerness_on_reg (bool): whether to predict the cues from the
            regression tower, as in the paper, or from the classifier's.
        init_reg_bias (float): initial bias of ``conv_reg``. With
            ``norm_on_bbox`` negative distances are clamped to 0 and learn
            nothing; a positive bias avoids a late start.
        cue_prior (float, optional): initial probability of the cues. None:
            0.01 for cues that are trained on background, else 0.5 (bias 0).
        init_cfg (dict | list[dict], optional): initialization. None: that of
            ``FCOSHead`` with the biases above.
        **kwargs: ``loss_objectness`` and ``loss_presence`` (dict), losses of
            the cues' logits, as :data:`cues.LOSSES`, for cues of
            ``objectness``; and arguments of ``FCOSHead``.

    ``test_cfg.proposals`` (``nms_pre`` candidates per level, ``nms``,
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
        refine: str | None = None,
        loss_bbox_refine: OptConfigType = None,
        presence_masking: OptConfigType = None,
        presence_convs: int = 0,
        centerness_weighted: bool | None = None,
        proposal_score: str = 'objectness',
        freeze_regression: bool = False,
        loss_cls: OptConfigType = dict(type='FocalLoss', use_sigmoid=True),
        centerness_on_reg: bool = True,
        center_sampling: bool = False,
        center_sample_radius: float = 1.5,
        init_reg_bias: float = 0.0,
        cue_prior: float | None = None,
        init_cfg: MultiConfig | None = None,
        **kwargs,
    ) -> None:
        self.cues = tuple(objectness)
        self.freeze_regression = freeze_regression
        self.conditional = conditional
        self.detach_condition = detach_condition
        self.refine = refine
        self.presence_convs = presence_convs
        if centerness_weighted is None:
            centerness_weighted = 'centerness' in self.cues
        self.centerness_weighted = centerness_weighted
        self.proposal_score = proposal_score
        self.with_cls = loss_cls is not None
        self._check_arguments(centerness_on_reg)
        if self.with_cls:
            loss_cls = self._cls_config(loss_cls)
        radius = center_sample_radius if center_sampling else None
        self.sampler = TASK_UTILS.build({'center_radius': radius, **sampler})
        losses = self._cue_losses(kwargs)
        super().__init__(
            num_classes,
            in_channels,
            center_sampling=center_sampling,
            center_sample_radius=center_sample_radius,
            centerness_on_reg=centerness_on_reg,
            # ``FCOSHead`` requires both losses; they are dropped below.
            loss_cls=loss_cls or dict(type='FocalLoss'),
            loss_centerness=losses['loss_objectness'],
            init_cfg=self._init_cfg(init_cfg, init_reg_bias, cue_prior),
            **kwargs,
        )
        self._build_losses(losses, loss_bbox_refine)
        self._build_masking(presence_masking)
        if freeze_regression:
            # Not in a hook: DDP inspects ``requires_grad`` before hooks run.
            for module in self._regression():
                module.requires_grad_(False)

    def _cue_losses(self, given: dict) -> dict[str, ConfigType]:
        """Take the losses of the cues out of ``given``, or their defaults."""
        if 'loss_centerness' in given:
            raise UserError(
                "loss_centerness is FCOSHead's; name it loss_objectness, or "
                'leave it out'
            )
        for key in LOSSES:
            cues = [name for name, cue in CUES.items() if cue.loss == key]
            if key in given and not set(cues) & set(self.cues):
                raise UserError(
                    f'{key} is the loss of {" and ".join(map(repr, cues))}, '
                    f'but objectness={self.cues}: add the cue, or leave {key} '
                    'out'
                )
        return {key: given.pop(key, LOSSES[key]) for key in LOSSES}

    def _cls_config(self, loss_cls: ConfigType) -> ConfigType:
        """Add the loss's own default of ``use_sigmoid`` to its config.

        ``FCOSHead`` takes it from the config alone: ``FocalLoss`` without it
        would get softmax scores and one more channel.
        """
        use_sigmoid = getattr(MODELS.build(loss_cls), 'use_sigmoid', False)
        if self.proposal_score == 'cls' and not use_sigmoid:
            raise UserError(
                "proposal_score='cls' needs a loss_cls with use_sigmoid=True"
            )
        return dict(loss_cls, use_sigmoid=True) if use_sigmoid else loss_cls

    def _build_losses(
        self, losses: dict[str, ConfigType], loss_bbox_refine: OptConfigType
    ) -> None:
        """Build our losses and drop what the parent built."""
        del self.loss_centerness
        if loss_bbox_refine and not self.refine:
            raise UserError(
                'loss_bbox_refine is the loss of a refined box: set '
                "refine='border', or leave it out"
            )
        if loss_bbox_refine:
            self.loss_bbox_refine = MODELS.build(loss_bbox_refine)
        elif self.refine:
            self.loss_bbox_refine = self.loss_bbox
        for key, loss in losses.items():
            setattr(self, key, MODELS.build(loss))
            if not getattr(getattr(self, key), 'use_sigmoid', False):
                raise UserError(
                    f'{key} is computed from logits: {dict(loss)} must have '
                    'use_sigmoid=True, as CrossEntropyLoss and FocalLoss can'
                )
        if not self.with_cls:
            self.loss_cls: nn.Module | None = None

    def _build_masking(self, presence_masking: OptConfigType) -> None:
        """Collect the maskings of the classifier and of ``presence``."""
        self.masking: UnknownMasking | None = getattr(
            self.loss_cls, 'masking', None
        )
        self.presence_masking: UnknownMasking | None = None
        if presence_masking is not None:
            if 'presence' not in self.cues or len(self.cues) == 1:
                raise UserError(
                    'presence_masking looks at another cue: objectness must '
                    "name it and 'presence', as ('iou', 'presence'), not "
                    f'{self.cues}'
                )
            self.presence_masking = UnknownMasking(**presence_masking)
        for name, masking in (
            ('loss_cls', self.masking),
            ('presence_masking', self.presence_masking),
        ):
            if masking and set(masking.cues or ()) - set(self.cues):
                raise UserError(
                    f'{name}.cues must be among objectness={self.cues}, not '
                    f'{masking.cues}'
                )

    def _check_arguments(self, centerness_on_reg: bool) -> None:
        """Raise a UserError if arguments contradict each other."""
        if not self.cues or set(self.cues) - set(CUES):
            raise UserError(
                f'objectness must name cues of {tuple(CUES)}, not {self.cues}'
            )
        for name, choices in (
            ('conditional', (None, 'tower', 'fpn')),
            ('refine', (None, 'border')),
            ('proposal_score', ('objectness', 'cls')),
        ):
            if getattr(self, name) not in choices:
                raise UserError(
                    f'{name} must be one of {choices}, not '
                    f'{getattr(self, name)!r}'
                )
        for wrong, message in (
            (
                not self.with_cls
                and (self.proposal_score == 'cls' or not centerness_on_reg),
                "proposal_score='cls' and centerness_on_reg=False need a "
                'classifier, but loss_cls is None',
            ),
            (
                self.conditional and not centerness_on_reg,
                'conditional cues are predicted from the regression tower: '
                'set centerness_on_reg=True',
            ),
            (
                self.presence_convs and 'presence' not in self.cues,
                "presence_convs is a tower of the cue 'presence': add it to "
                'objectness, or leave presence_convs out',
            ),
            (
                self.refine and not centerness_on_reg,
                'a refined box and its cues are predicted from the regression '
                'tower: set centerness_on_reg=True',
            ),
            (
                self.freeze_regression
                and not (self.with_cls and centerness_on_reg),
                'freeze_regression trains a classifier alone: set loss_cls '
                'and centerness_on_reg=True',
            ),
        ):
            if wrong:
                raise UserError(message)

    def _init_cfg(
        self,
        init_cfg: MultiConfig | None,
        init_reg_bias: float,
        cue_prior: float | None,
    ) -> MultiConfig:
        """Return ``init_cfg``, or that of ``FCOSHead`` with our biases."""
        if init_cfg is not None:
            if init_reg_bias or cue_prior is not None:
                raise UserError(
                    'init_cfg replaces init_reg_bias and cue_prior: give '
                    'either init_cfg or the other two'
                )
            return init_cfg
        biases = {}
        if init_reg_bias:
            biases['conv_reg'] = dict(bias=init_reg_bias)
        if self.refine:  # start from the first box
            biases['conv_refine'] = dict(std=0)
        if self.with_cls:
            biases['conv_cls'] = dict(bias_prob=0.01)
        for cue in self.cues:
            if cue_prior is not None or self._on_background(cue):
                prior = 0.01 if cue_prior is None else cue_prior
                biases[f'conv_{cue}'] = dict(bias_prob=prior)
        normal = dict(type='Normal', std=0.01)
        override = [{**normal, 'name': n, **b} for n, b in biases.items()]
        return dict(normal, layer='Conv2d', override=override)

    def _on_background(self, cue: str) -> bool:
        """Return whether locations without a box train the cue."""
        return CUES[cue].locations == 'all' or self.sampler.uses_background

    def _regression(self) -> list[nn.Module]:
        """List the modules that predict boxes and cues."""
        modules = [getattr(self, f'conv_{cue}') for cue in self.cues]
        if self.refine:
            modules += [self.border, self.conv_refine]
        if self.presence_convs:
            modules.append(self.presence_tower)
        return [self.reg_convs, self.conv_reg, self.scales, *modules]

    def train(self, mode: bool = True) -> OWPFCOSHead:
        """Set training mode, except for frozen modules, or eval mode."""
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
        if self.refine:
            self.border = BorderFeatures(
                channels, self.conv_cfg, self.norm_cfg
            )
            self.conv_refine = nn.Conv2d(channels, 4, 1)
        if self.conditional == 'fpn':
            channels = self.in_channels
        if self.conditional:
            channels += 4
        for cue in self.cues:
            setattr(self, f'conv_{cue}', nn.Conv2d(channels, 1, 3, padding=1))
        if self.presence_convs:
            self.presence_tower = self._tower(self.presence_convs)
            self.conv_presence = nn.Conv2d(self.feat_channels, 1, 3, padding=1)

    def _tower(self, num_convs: int) -> nn.Sequential:
        """Build a tower as that of ``FCOSHead``'s regression."""
        convs, channels = [], self.in_channels
        for _ in range(num_convs):
            convs.append(
                ConvModule(
                    channels,
                    self.feat_channels,
                    3,
                    padding=1,
                    conv_cfg=self.conv_cfg,
                    norm_cfg=self.norm_cfg,
                    bias=self.conv_bias,
                )
            )
            channels = self.feat_channels
        return nn.Sequential(*convs)

    def forward_single(
        self, x: Tensor, scale: Scale, stride: int
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Forward one level.

        Args:
            x (Tensor): (batch, in_channels, H, W) feature map.
            scale (Scale): learned factor of the level's distances.
            stride (int): pixels between locations.

        Returns:
            tuple: class logits (batch, num_classes, H, W) or None; distances
            (l, t, r, b) of (batch, 4, H, W), in pixels, but in training with
            ``norm_on_bbox`` in strides, as in ``FCOSHead``; cue logits
            (batch, number of cues, H, W). The last two are None in training
            if they are frozen and the loss does not need them. With
            ``refine`` the distances are those of the second box, in training
            followed by those of the first, (batch, 8, H, W).
        """
        cls_score, cls_feat = None, x
        if self.with_cls:
            for conv in self.cls_convs:
                cls_feat = conv(cls_feat)
            cls_score = self.conv_cls(cls_feat)
        if self.freeze_regression and self.training:
            if self.masking is None:
                return cls_score, None, None
            x = x.detach()
        reg_feat = x
        for conv in self.reg_convs:
            reg_feat = conv(reg_feat)
        # In single precision: fp16 overflows for large boxes.
        distances = scale(self.conv_reg(reg_feat)).float()
        if self.norm_on_bbox:
            distances = in_strides = distances.clamp(min=0)
            if not self.training:
                distances = distances * stride
        else:
            distances = distances.exp()
            in_strides = distances / stride
        if self.refine:
            reg_feat = self.border(reg_feat, in_strides)
            shares, first = self.conv_refine(reg_feat).float(), distances
            distances = move_sides(first.detach(), shares)
            in_strides = move_sides(in_strides.detach(), shares)
            if self.training:
                distances = torch.cat([distances, first], dim=1)
        cue_feat = reg_feat if self.centerness_on_reg else cls_feat
        if self.conditional:
            if self.detach_condition:
                in_strides = in_strides.detach()
            feat = x if self.conditional == 'fpn' else reg_feat
            cue_feat = torch.cat([feat, in_strides.to(feat.dtype)], dim=1)
        feats = dict.fromkeys(self.cues, cue_feat)
        if self.presence_convs:
            feats['presence'] = self.presence_tower(x)
        cues = [getattr(self, f'conv_{c}')(feats[c]) for c in self.cues]
        return cls_score, distances, torch.cat(cues, dim=1)

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
            cls_scores (list[Tensor | None]): outputs of
                :meth:`forward_single` per level, as the next two.
            bbox_preds (list[Tensor | None]): distances.
            cue_logits (list[Tensor | None]): cue logits.
            batch_gt_instances (list[InstanceData]): ``bboxes`` (x1, y1, x2,
                y2) in pixels of the network input and ``labels``.
            batch_img_metas (list[dict]): unused.
            batch_gt_instances_ignore (list[InstanceData], optional): crowd
                regions in ``bboxes``.

        Returns:
            dict[str, Tensor]: with a classifier ``loss_cls``; unless frozen
            ``loss_bbox``, ``loss_<cue>`` per cue and with ``refine``
            ``loss_bbox_refine``; with unknown masking what it logs.
        """
        levels = cls_scores if self.with_cls else bbox_preds
        sizes = [level.shape[-2:] for level in levels]
        boxes = [gt.bboxes for gt in batch_gt_instances]
        targets = self.find_targets(sizes, batch_gt_instances)
        num_pos = _mean_over_processes(targets.num_pos, at_least=1)
        not_crowd = self._not_crowd(sizes, boxes, batch_gt_instances_ignore)
        outs = bbox_preds, cue_logits, boxes
        losses = dict()
        if self.with_cls:
            losses = self._cls_losses(
                flatten_levels(cls_scores),
                targets.labels,
                num_pos,
                not_crowd,
                self._inputs_of(self.masking, *outs),
            )
        if targets.boxes is not None:
            inputs = self._inputs_of(self.presence_masking, *outs)
            weights, log = self._cue_weights(targets.boxes, not_crowd, inputs)
            box_losses = self._box_losses(
                flatten_levels(bbox_preds),
                flatten_levels(cue_logits),
                targets.boxes,
                num_pos,
                weights,
            )
            losses.update(log, **box_losses)
        return losses

    def find_targets(
        self,
        featmap_sizes: list[tuple[int, int]],
        batch_gt_instances: InstanceList,
    ) -> Targets:
        """Find what each location is trained toward.

        Args:
            featmap_sizes (list[tuple[int, int]]): (height, width) per level.
            batch_gt_instances (list[InstanceData]): as for
                :meth:`loss_by_feat`.
        """
        batch_boxes = [gt.bboxes for gt in batch_gt_instances]
        assigned = self.sampler.assign(
            featmap_sizes, self.strides, self.regress_ranges, batch_boxes
        )
        in_regression = assigned.regression >= 0
        num_pos, labels = in_regression.sum(), None
        if self.with_cls:
            background = assigned.regression.new_full((1,), self.num_classes)
            labels = [gt.labels for gt in batch_gt_instances]
            # Index -1, no box, selects the appended background.
            labels = torch.cat([*labels, background])[assigned.regression]
        if self.freeze_regression:
            return Targets(num_pos, labels, None)
        # The host waits here for the device.
        inds = (assigned.cue >= 0).nonzero().squeeze(1)
        boxes = torch.cat(batch_boxes)
        grid = location_grid(
            featmap_sizes, self.strides, len(batch_boxes), boxes.device
        )
        points = grid.points[inds]
        matched = boxes[assigned.cue[inds]]
        distances = torch.cat(
            [points - matched[:, :2], matched[:, 2:] - points], dim=1
        )
        if self.norm_on_bbox:
            distances = distances / grid.strides[inds]
        return Targets(
            num_pos,
            labels,
            BoxTargets(inds, in_regression[inds], points, distances),
        )

    def _cls_losses(
        self,
        logits: Tensor,
        labels: Tensor,
        num_pos: Tensor,
        weight: Tensor | None,
        inputs: MaskingInputs | None,
    ) -> dict[str, Tensor]:
        """Compute the classification loss and what unknown masking logs."""
        log = dict()
        if inputs is not None:
            background = labels == self.num_classes
            weight, background, share = _mask(
                self.masking, background, weight, inputs
            )
            hidden = ~background | inputs.in_object
            highest = inputs.objectness.masked_fill(hidden, 0).max()
            log = dict(
                masked_background=share, background_objectness_max=highest
            )
        loss = self.loss_cls(logits, labels, weight, avg_factor=num_pos)
        return dict(loss_cls=loss, **log)

    def _cue_weights(
        self,
        targets: BoxTargets,
        weight: Tensor | None,
        inputs: MaskingInputs | None,
    ) -> tuple[dict[str, Tensor | None], dict[str, Tensor]]:
        """Return the weights of each cue on background and what is logged."""
        weights = dict.fromkeys(self.cues, weight)
        if inputs is None:
            return weights, dict()
        background = torch.ones_like(inputs.in_object)
        background = background.index_fill(0, targets.inds, False)
        weights['presence'], _, share = _mask(
            self.presence_masking, background, weight, inputs
        )
        return weights, dict(presence_masked_background=share)

    def _box_losses(
        self,
        preds: Tensor,
        cue_logits: Tensor,
        targets: BoxTargets,
        num_pos: Tensor,
        weights: dict[str, Tensor | None],
    ) -> dict[str, Tensor]:
        """Compute the losses of boxes and cues from flattened outputs.

        ``weights`` (num_locations, ) are those of the cues that are trained
        on background, by name.
        """
        # The second box comes first; the cues are measured against it.
        *first, preds = reversed(preds[targets.inds].split(4, dim=1))
        # Dividing both by the stride shrinks the boxes toward the point,
        # which leaves their IoU unchanged.
        target_boxes = self.bbox_coder.decode(
            targets.points, targets.distances
        )
        weight, avg_factor = targets.in_regression.to(preds.dtype), num_pos
        if self.centerness_weighted:
            weight = weight * centerness(targets.distances)
            avg_factor = _mean_over_processes(weight.sum(), at_least=1e-6)
        names = ['loss_bbox', 'loss_bbox_refine'][: 1 + len(first)]
        losses = dict()
        for name, distances in zip(names, [*first, preds]):
            losses[name], ious = box_loss(
                getattr(self, name),
                self.bbox_coder.decode(targets.points, distances),
                target_boxes,
                weight,
                avg_factor,
            )
        sampled, iou_targets = self.sampler.sample(ious, targets.in_regression)
        located = Located(
            targets.distances,
            ious,
            iou_targets,
            sampled,
            targets.in_regression,
        )
        divisors = dict.fromkeys(CUES[name].divisor for name in self.cues)
        for count in divisors:
            divisors[count] = _mean_over_processes(count(located), at_least=1)
        for name, logits in zip(self.cues, cue_logits.unbind(1)):
            cue = CUES[name]
            target = cue.target(located)
            if self._on_background(name):
                zeros = target.new_zeros(len(logits))
                target = zeros.index_put((targets.inds,), target)
                weight = weights[name]
            else:
                logits = logits[targets.inds]
                weight = sampled.to(target.dtype)
            losses[f'loss_{name}'] = getattr(self, cue.loss)(
                logits, target, weight, avg_factor=divisors[cue.divisor]
            )
        return losses

    def _inputs_of(
        self, masking: UnknownMasking | None, *outs: Any
    ) -> MaskingInputs | None:
        """Return :meth:`masking_inputs`, None without masking."""
        return None if masking is None else self.masking_inputs(masking, *outs)

    @torch.no_grad()
    def masking_inputs(
        self,
        masking: UnknownMasking,
        bbox_preds: list[Tensor],
        cue_logits: list[Tensor],
        gt_boxes: list[Tensor],
    ) -> MaskingInputs:
        """Collect the predictions that ``masking`` looks at.

        ``bbox_preds`` and ``cue_logits`` are outputs of :meth:`forward` in the
        current mode; ``gt_boxes`` has the boxes of each image.
        """
        featmap_sizes = [level.shape[-2:] for level in bbox_preds]
        boxes = None
        if masking.mode == 'area':
            distances = flatten_levels([d[:, :4] for d in bbox_preds])
            grid = location_grid(
                featmap_sizes, self.strides, len(gt_boxes), distances.device
            )
            if self.norm_on_bbox and self.training:
                distances = distances * grid.strides
            boxes = self.bbox_coder.decode(grid.points, distances)
        cues = masking.cues or localization_cues(self.cues)
        if tuple(cues) != self.cues:
            chosen = [self.cues.index(cue) for cue in cues]
            # Slices: an index list would be copied to the device.
            cue_logits = [
                torch.cat([level[:, i : i + 1] for i in chosen], dim=1)
                for level in cue_logits
            ]
        logits = flatten_levels([objectness_logits(c) for c in cue_logits])
        return MaskingInputs(
            objectness=logits.squeeze(1).float().sigmoid(),
            in_object=covered_locations(featmap_sizes, self.strides, gt_boxes),
            boxes=boxes,
            featmap_sizes=featmap_sizes,
            strides=self.strides,
        )

    def _not_crowd(
        self,
        featmap_sizes: list[tuple[int, int]],
        boxes: list[Tensor],
        ignored: OptInstanceList,
    ) -> Tensor | None:
        """Return weight 0 for locations in a crowd region and no object, or 1.

        None if all weights are 1, or if neither the classifier nor a cue is
        trained on background.
        """
        background = self.with_cls or any(map(self._on_background, self.cues))
        if not (self.sampler.ignore_crowd and background and ignored):
            return None
        regions = [
            box[:0] if region is None else region.bboxes
            for box, region in zip(boxes, ignored)
        ]
        if not any(map(len, regions)):
            return None
        in_crowd, in_object = (
            covered_locations(featmap_sizes, self.strides, of_images)
            for of_images in (regions, boxes)
        )
        return (~in_crowd | in_object).float()

    def predict(
        self,
        x: tuple[Tensor],
        batch_data_samples: SampleList,
        rescale: bool = False,
    ) -> InstanceList:
        """Predict the proposals and, with a classifier, class detections.

        Args:
            x (tuple[Tensor]): feature maps.
            batch_data_samples (list[DetDataSample]): samples with
                ``metainfo``. Each gets ``proposals`` with ``bboxes`` (n, 4)
                as (x1, y1, x2, y2), ``scores`` (n, ), descending, and
                ``labels``, all 0.
            rescale (bool): whether boxes are in pixels of the original image
                instead of the network input.

        Returns:
            list[InstanceData]: class detections of each image, or the
            proposals where there is no classifier.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        cls_scores, distances, cues = self(x)
        # Both lists use the combined cues: combine them once.
        outs = cls_scores, distances, [objectness_logits(c) for c in cues]
        proposals = self.propose_by_feat(*outs, metas, rescale=rescale)
        for sample, of_image in zip(batch_data_samples, proposals):
            sample.proposals = of_image
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
        """Return class detections, scored class score times objectness.

        Without a classifier return the proposals, with label 0. Arguments
        are those of :meth:`propose_by_feat`, but ``cfg`` defaults to
        ``test_cfg``.
        """
        predict = (
            super().predict_by_feat if self.with_cls else self.propose_by_feat
        )
        return predict(
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
        """Return class-agnostic proposals from the outputs of :meth:`forward`.

        Args:
            cls_scores (list[Tensor | None]): class logits, read only if
                ``proposal_score='cls'``.
            bbox_preds (list[Tensor]): distances in pixels, (batch, 4, H, W).
            cue_logits (list[Tensor]): (batch, number of cues, H, W).
            batch_img_metas (list[dict]): ``img_shape`` and, to rescale,
                ``scale_factor`` of each image.
            cfg (dict, optional): settings. None: :attr:`proposal_cfg`.
            rescale (bool): as in :meth:`predict`.
            with_nms (bool): whether to apply NMS and ``max_per_img``.

        Returns:
            list[InstanceData]: the ``proposals`` of :meth:`predict`.
        """
        cfg = ConfigDict(self.proposal_cfg if cfg is None else cfg)
        if cfg.get('nms'):
            # All have label 0: no offset per class.
            cfg.nms = dict(cfg.nms, class_agnostic=True)
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
        """``test_cfg.proposals``, or ``test_cfg`` if it has no such key."""
        return self.test_cfg.get('proposals', self.test_cfg)

    def candidates_by_feat(
        self,
        cls_scores: list[Tensor | None],
        bbox_preds: list[Tensor],
        cue_logits: list[Tensor],
        nms_pre: int,
        max_shapes: list[tuple[int, int]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Decode the best locations of each level, before NMS.

        With ``max_shapes=None`` it can be traced with dynamic sizes.

        Args:
            cls_scores (list[Tensor | None]): as in :meth:`propose_by_feat`.
            bbox_preds (list[Tensor]): as in :meth:`propose_by_feat`.
            cue_logits (list[Tensor]): as in :meth:`propose_by_feat`.
            nms_pre (int): maximum of candidates per level; all if not
                positive.
            max_shapes (list[tuple[int, int]], optional): (height, width) that
                the boxes of each image are clipped to.

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
    """Clamp ``num`` to ``nms_pre`` (a tensor during tracing)."""
    if nms_pre <= 0:
        return num
    if isinstance(num, Tensor):  # min() would be traced as a constant
        return torch.minimum(num, torch.tensor(nms_pre))
    return min(nms_pre, num)


def _mask(
    masking: UnknownMasking,
    background: Tensor,
    weight: Tensor | None,
    inputs: MaskingInputs,
) -> tuple[Tensor, Tensor, Tensor]:
    """Set the weight of masked background to 0.

    Locations of weight 0 are neither masked nor counted as background.

    Returns:
        tuple[Tensor, Tensor, Tensor]: the weights (num_locations, ), the
        background that counts (num_locations, ), and its masked share.
    """
    if weight is not None:
        background = background & (weight > 0)
    masked = masking.mask(background, inputs)
    kept = (~masked).to(inputs.objectness.dtype)
    share = masked.sum() / background.sum().clamp(min=1)
    return kept if weight is None else weight * kept, background, share


def _mean_over_processes(count: Tensor, at_least: float) -> Tensor:
    """Average a count over processes without waiting for the device."""
    return reduce_mean(count.float()).clamp(min=at_least)
