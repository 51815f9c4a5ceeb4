"""What a head predicts at each location, recorded during a forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmdet_owp.errors import UserError
from mmdet_owp.models.dense_heads.cues import objectness
from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead
from mmdet_owp.models.losses.box_loss import aligned_overlaps
from mmdet_owp.models.task_modules.locations import covered_locations
from mmdet_owp.models.task_modules.unknown_masking import UnknownMasking

_LABELS = dict(centerness='centerness', iou='IoU')


def objectness_head(detector: nn.Module) -> OWPFCOSHead:
    """Return the head of a detector that predicts objectness.

    Raises:
        UserError: if its ``bbox_head`` is not an :class:`OWPFCOSHead`.
    """
    head = getattr(detector, 'bbox_head', None)
    if not isinstance(head, OWPFCOSHead):
        path = getattr(getattr(detector, 'cfg', None), 'filename', None)
        raise UserError(
            f'{path or type(detector).__name__}: needs an OWPFCOSHead as '
            f'bbox_head, not {head and type(head).__name__}; take a config '
            'with one, such as configs/owp/fcos_iou_cs_is_coco.py'
        )
    return head


class HeadOutputs:
    """Context manager that keeps the latest outputs of an ``OWPFCOSHead``.

    Locations are in the order of
    :mod:`~mmdet_owp.models.task_modules.locations`, boxes are (x1, y1, x2,
    y2) in pixels of the network input.

    Args:
        detector (nn.Module): in eval mode.

    Attributes:
        head (OWPFCOSHead): its head.
        levels (tuple): class logits (or None), distances in pixels and cue
            logits of the last pass, each a list over levels of (batch, n, H,
            W).

    Raises:
        UserError: if the detector has no such head.
    """

    def __init__(self, detector: nn.Module) -> None:
        self.head = objectness_head(detector)

    def __enter__(self) -> HeadOutputs:
        self._handle = self.head.register_forward_hook(self._keep)
        return self

    def __exit__(self, *_) -> None:
        self._handle.remove()

    def _keep(self, head: nn.Module, inputs: tuple, outputs: tuple) -> None:
        self.levels = outputs

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Sizes (height, width) of the levels, in locations."""
        return [level.shape[-2:] for level in self.levels[1]]

    def points(self) -> Tensor:
        """Return the locations, (num_locations, 2) as (x, y)."""
        device = self.levels[1][0].device
        return torch.cat(
            self.head.prior_generator.grid_priors(self.sizes, device=device)
        )

    def boxes(self, index: int = 0) -> Tensor:
        """Return the boxes of an image of the batch, (num_locations, 4)."""
        distances = torch.cat([d[index].flatten(1).T for d in self.levels[1]])
        return self.head.bbox_coder.decode(self.points(), distances)

    def objectness(self) -> list[Tensor]:
        """Return the mean of the cues per level, (batch, H, W) in [0, 1]."""
        return [objectness(level)[:, 0] for level in self.levels[2]]

    def _rankings(self) -> dict[str, tuple[str, list[Tensor]]]:
        """Return ``proposal_score`` and cue logits to rank by, by name."""
        cues = self.levels[2]
        names = [_LABELS.get(cue, cue) for cue in self.head.cues]
        rankings = {
            name: ('objectness', [level[:, i : i + 1] for level in cues])
            for i, name in enumerate(names)
        }
        mean = names[0]
        if len(names) > 1:
            mean = f'√({" × ".join(names)})'
            rankings[mean] = 'objectness', cues
        if self.head.with_cls:
            rankings = {f'class × {mean}': ('cls', cues), **rankings}
        return rankings

    def scores(self) -> dict[str, list[Tensor]]:
        """Return each score that proposals can be ranked by.

        Returns:
            dict[str, list[Tensor]]: with a classifier the highest class score
            times objectness; each cue; the mean of several cues. Per level,
            (batch, H, W) in [0, 1].
        """
        scores = {}
        for name, (kind, cues) in self._rankings().items():
            scores[name] = [objectness(level)[:, 0] for level in cues]
            if kind == 'cls':
                scores[name] = [
                    score * logits.float().sigmoid().amax(1)
                    for score, logits in zip(scores[name], self.levels[0])
                ]
        return scores

    def proposals(self, sample: DetDataSample) -> dict[str, InstanceData]:
        """Return proposals of the only image, ranked by each score.

        Args:
            sample (DetDataSample): of the image.

        Returns:
            dict[str, InstanceData]: as :meth:`OWPFCOSHead.predict` returns
            them, in pixels of the image file, by name of :meth:`scores`.
        """
        head, proposals = copy(self.head), {}
        scores, distances = self.levels[:2]
        for name, (kind, cues) in self._rankings().items():
            head.proposal_score = kind
            (proposals[name],) = head.propose_by_feat(
                scores, distances, cues, [sample.metainfo], rescale=True
            )
        return proposals

    def training_points(self, gt_boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the locations of the only image that train the head.

        Args:
            gt_boxes (Tensor): (n, 4) ground-truth boxes.

        Returns:
            tuple[Tensor, Tensor]: (x, y) of the locations that train the
            regression and the cues, and of those that train the cues only.
        """
        head = self.head
        assigned = head.sampler.assign(
            self.sizes, head.strides, head.regress_ranges, [gt_boxes]
        )
        located = assigned.cue >= 0
        in_regression = assigned.regression[located] >= 0
        ious, _ = aligned_overlaps(
            self.boxes()[located], gt_boxes[assigned.cue[located]]
        )
        in_cue, _ = head.sampler.sample(ious, in_regression)
        points = self.points()[located]
        return points[in_regression], points[in_cue & ~in_regression]

    def covered(self, boxes: Tensor) -> Tensor:
        """Return which locations of the only image lie inside a box."""
        return covered_locations(self.sizes, self.head.strides, [boxes])

    def masked_background(
        self, masking: UnknownMasking, gt_boxes: Tensor, crowd: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mask the background of the only image.

        Args:
            masking (UnknownMasking): what to mask.
            gt_boxes (Tensor): (n, 4) ground-truth boxes.
            crowd (Tensor): (m, 4) crowd regions.

        Returns:
            tuple[Tensor, Tensor]: boolean masks of the masked locations and
            of all background, (num_locations, ).
        """
        inputs = self.head.masking_inputs(
            masking, *self.levels[1:], [gt_boxes]
        )
        background = ~inputs.in_object
        if self.head.sampler.ignore_crowd:
            background &= ~self.covered(crowd)
        return masking.mask(background, inputs), background

    def unflatten(self, values: Tensor) -> list[Tensor]:
        """Split values (num_locations, ) into levels (1, H, W)."""
        levels = values.split([h * w for h, w in self.sizes])
        return [level.view(1, *s) for level, s in zip(levels, self.sizes)]


def score_map(
    levels: Sequence[Tensor],
    strides: Sequence[int],
    sample: DetDataSample,
    index: int = 0,
    mode: str = 'bilinear',
) -> np.ndarray:
    """Resize scores to the image; each pixel is the maximum over levels.

    Args:
        levels (Sequence[Tensor]): (batch, H, W) per level.
        strides (Sequence[int]): pixels between locations, per level.
        sample (DetDataSample): with ``img_shape`` and ``ori_shape``.
        index (int): index of the image in the batch.
        mode (str): ``'bilinear'``, or ``'nearest'``, which fills a square as
            wide as the stride around each location.

    Returns:
        ndarray: (height, width) of the image file.
    """
    height, width = sample.img_shape[:2]  # without padding
    maps = [
        F.interpolate(
            level[None, index, None].float(),
            scale_factor=float(stride),
            mode=mode,
        )[..., :height, :width]
        for level, stride in zip(levels, strides)
    ]
    heat = torch.stack(maps).amax(0)
    heat = F.interpolate(heat, sample.ori_shape[:2], mode=mode)
    return heat[0, 0].cpu().numpy()
