"""Focal loss that leaves out background which looks like an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmcv.ops import batched_nms
from mmdet.models.losses import FocalLoss
from mmdet.registry import MODELS
from mmdet.utils import OptConfigType
from mmengine.logging import MessageHub
from torch import Tensor

from mmdet_owp.models.task_modules.iou_sampler import IoUSampler


class Locations(NamedTuple):
    """What else a head knows of the locations of a batch.

    Locations are in the order of the logits: level by level, in a level
    image by image, in an image row by row.

    Attributes:
        objectness (Tensor): (num_locations, ), probabilities.
        in_object (Tensor): (num_locations, ) bool, whether inside any
            ground-truth box, of whatever size.
        boxes (Tensor, optional): (num_locations, 4) predicted boxes (x1, y1,
            x2, y2) in pixels. Only ``mode='area'`` needs them.
        featmap_sizes (list[tuple[int, int]]): (height, width) of the levels.
        strides (Sequence[int]): pixels between locations, per level.
    """

    objectness: Tensor
    in_object: Tensor
    boxes: Tensor | None
    featmap_sizes: list[tuple[int, int]]
    strides: Sequence[int]


@MODELS.register_module()
class UnknownMaskFocalLoss(FocalLoss):
    """Focal loss with unknown object masking (paper, Sec. 3.3).

    Training images show objects that nobody labelled. A location that is
    background, lies outside of every ground-truth box and has an objectness
    above ``threshold`` is taken for part of one: its weight becomes 0. The
    number that divides the loss doesn't change.

    - ``mode='pixel'`` masks these locations alone.
    - ``mode='area'`` (Appendix A) masks every background location outside of
      the ground truth whose centre is strictly inside the box that one of
      them predicts, on all levels of its image.
    - ``mode='area'`` with ``nms`` first suppresses the boxes that overlap
      others of higher objectness, image by image; the paper leaves this as
      future work. It waits for the device, which the others don't.

    Without anything masked it is mmdet's ``FocalLoss``, to the bit, whose
    remaining arguments apply here too.

    Args:
        threshold (float): objectness above which background is masked, in
            [0, 1]. At 1 nothing is.
        start_iter (int | float): iteration of the training from which on
            locations are masked; below 1, as a fraction of its length. What
            counts is the runner's iteration, which a resumed run goes on
            with. Without a runner it stands at 0.
        mode (str): ``'pixel'`` or ``'area'``.
        nms (dict, optional): NMS of the areas, as in a ``test_cfg``.

    Raises:
        ValueError: for arguments out of range.
    """

    def __init__(
        self,
        threshold: float = 0.95,
        start_iter: int | float = 0,
        mode: str = 'pixel',
        nms: OptConfigType = None,
        **kwargs,
    ) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f'threshold must lie in [0, 1], not {threshold}')
        if start_iter < 0 or (start_iter > 1 and start_iter % 1):
            raise ValueError(
                'start_iter must be a number of iterations or a '
                f'fraction below 1, not {start_iter}'
            )
        if mode not in ('pixel', 'area'):
            raise ValueError(f"mode must be 'pixel' or 'area', not {mode!r}")
        if nms is not None and mode != 'area':
            raise ValueError(
                f"nms is of areas: it needs mode='area', not {mode!r}"
            )
        super().__init__(**kwargs)
        self.threshold = threshold
        self.start_iter = start_iter
        self.mode = mode
        self.nms = nms

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | None = None,
        reduction_override: str | None = None,
        *,
        locations: Locations,
    ) -> dict[str, Tensor]:
        """Compute the loss.

        Args:
            pred (Tensor): (num_locations, num_classes) logits.
            target (Tensor): (num_locations, ) int64 labels, ``num_classes``
                for background.
            weight (Tensor, optional): (num_locations, ). Locations of weight
                0 are no background: they are neither masked nor counted.
            avg_factor (Tensor, optional): divides the sum of the loss.
            reduction_override (str, optional): as in ``FocalLoss``.
            locations (Locations): no gradient flows into them.

        Returns:
            dict[str, Tensor]: ``loss_cls``, and to be logged
            ``masked_background``, the share of the background locations that
            is masked, and ``background_objectness_max``, the highest
            objectness of background outside of the ground truth (0 where
            there is none), before the start as after it.
        """
        objectness = locations.objectness.detach()
        background = target == pred.shape[1]
        if weight is not None:
            background = background & (weight > 0)
        outside = background & ~locations.in_object
        masked = torch.zeros_like(outside)
        if self.has_started():
            masked = self.mask(objectness, outside, locations)
            kept = (~masked).to(pred.dtype)
            weight = kept if weight is None else weight * kept
        loss = super().forward(
            pred, target, weight, avg_factor, reduction_override
        )
        return dict(
            loss_cls=loss,
            masked_background=masked.sum() / background.sum().clamp(min=1),
            background_objectness_max=objectness.masked_fill(
                ~outside, 0
            ).max(),
        )

    # The iteration would be compiled in as a constant.
    @torch.compiler.disable
    def has_started(self) -> bool:
        """Tell whether the training has come to ``start_iter``."""
        hub = MessageHub.get_current_instance()
        start = self.start_iter
        if 0 < start < 1:
            start *= hub.get_info('max_iters', float('inf'))
        # The half rounds a product such as 4999.999 or 5000.001.
        return hub.get_info('iter', 0) > start - 0.5

    def mask(
        self, objectness: Tensor, outside: Tensor, locations: Locations
    ) -> Tensor:
        """Choose what loses its weight once masking has started.

        Args:
            objectness (Tensor): (num_locations, ), probabilities.
            outside (Tensor): (num_locations, ) bool, the background outside
                of the ground truth.
            locations (Locations): for areas, their boxes and levels.

        Returns:
            Tensor: (num_locations, ) bool.
        """
        unknown = outside & (objectness > self.threshold)
        if self.mode == 'pixel':
            return unknown
        sizes = locations.featmap_sizes
        num_images = len(unknown) // sum(h * w for h, w in sizes)

        def by_image(values: Tensor) -> Tensor:
            levels = values.split([num_images * h * w for h, w in sizes])
            return torch.cat(
                [level.unflatten(0, (num_images, -1)) for level in levels], 1
            )

        boxes = by_image(locations.boxes.detach())
        unknown = by_image(unknown)
        if self.nms is not None:
            unknown = self._suppress(boxes, by_image(objectness), unknown)
        # A box without area has nothing inside.
        boxes = boxes.masked_fill(~unknown[..., None], 0)
        return outside & IoUSampler.covered(
            sizes, locations.strides, boxes.unbind()
        )

    def _suppress(
        self, boxes: Tensor, scores: Tensor, candidates: Tensor
    ) -> Tensor:
        """Leave the candidates that NMS keeps, (num_images, n) bool."""
        chosen = candidates.nonzero(as_tuple=True)
        kept = torch.zeros_like(candidates)
        if len(chosen[0]):
            # Images are told apart by an offset that takes coordinates for
            # positive, which predicted boxes need not be.
            positive = boxes[chosen].float() - boxes[chosen].min().float()
            _, keep = batched_nms(
                positive, scores[chosen].float(), chosen[0], self.nms
            )
            kept[chosen[0][keep], chosen[1][keep]] = True
        return kept
