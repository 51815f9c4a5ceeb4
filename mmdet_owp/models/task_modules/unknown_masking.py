"""Unknown-object masking: find background that looks like an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmcv.ops import batched_nms
from mmdet.utils import OptConfigType
from mmengine.logging import MessageHub
from torch import Tensor

from mmdet_owp.errors import UserError
from mmdet_owp.models.task_modules.locations import covered_by, location_grid

# PyTorch before 2.1 has no torch.compiler.
_not_compiled = getattr(
    getattr(torch, 'compiler', None), 'disable', lambda function: function
)


class MaskingInputs(NamedTuple):
    """Predictions and ground truth that unknown-object masking looks at.

    Locations are in the order of
    :mod:`~mmdet_owp.models.task_modules.locations`.

    Attributes:
        objectness (Tensor): (num_locations, ), probabilities.
        in_object (Tensor): (num_locations, ) bool, whether inside any
            ground-truth box, of whatever size.
        boxes (Tensor, optional): (num_locations, 4) predicted boxes (x1, y1,
            x2, y2) in pixels; needed by ``mode='area'`` only.
        featmap_sizes (list[tuple[int, int]]): (height, width) per level.
        strides (Sequence[int]): pixels between locations, per level.
    """

    objectness: Tensor
    in_object: Tensor
    boxes: Tensor | None
    featmap_sizes: Sequence[tuple[int, int]]
    strides: Sequence[int]


class UnknownMasking:
    """Schedule and choice of the masked locations (paper, Sec. 3.3).

    Training images show objects without a label. A background location
    outside every ground-truth box whose objectness is above ``threshold`` is
    assumed to belong to one.

    - ``mode='pixel'`` masks these locations alone.
    - ``mode='area'`` (Appendix A) masks all background locations outside the
      ground truth whose center is strictly inside the box predicted by one of
      them, on all levels of its image.
    - ``mode='area'`` with ``nms`` first suppresses boxes that overlap others
      of higher objectness, per image; the paper leaves this as future work.

    ``'area'`` makes the host wait for the device: once, and with ``nms`` more
    often.

    Args:
        threshold (float): objectness above which background is masked, in
            [0, 1]. 1 masks nothing.
        start_iter (int | float): training iteration at which masking starts;
            below 1, a fraction of the training. The runner's iteration
            counts, which a resumed training continues. Without a runner it
            is 0.
        mode (str): ``'pixel'`` or ``'area'``.
        nms (dict, optional): NMS of the areas, as in a ``test_cfg``.
        cues (Sequence[str], optional): cues whose geometric mean is the
            objectness. None: those of the head, but not ``presence``, which
            learns 0 for unknown objects.

    Raises:
        UserError: for arguments out of range.
    """

    def __init__(
        self,
        threshold: float = 0.95,
        start_iter: int | float = 0,
        mode: str = 'pixel',
        nms: OptConfigType = None,
        cues: Sequence[str] | None = None,
    ) -> None:
        if not 0 <= threshold <= 1:
            raise UserError(f'threshold must lie in [0, 1], not {threshold}')
        if start_iter < 0 or (start_iter > 1 and start_iter % 1):
            raise UserError(
                'start_iter must be a number of iterations or a fraction '
                f'below 1, not {start_iter}'
            )
        if mode not in ('pixel', 'area'):
            raise UserError(f"mode must be 'pixel' or 'area', not {mode!r}")
        if nms is not None and mode != 'area':
            raise UserError(
                f"nms suppresses areas: it needs mode='area', not {mode!r}"
            )
        self.threshold = threshold
        self.start_iter = start_iter
        self.mode = mode
        self.nms = nms
        self.cues = cues

    # Compilation would freeze the iteration as a constant.
    @_not_compiled
    def has_started(self) -> bool:
        """Return whether the training has reached ``start_iter``."""
        hub = MessageHub.get_current_instance()
        start = self.start_iter
        if 0 < start < 1:
            start *= hub.get_info('max_iters', float('inf'))
        # 0.5 rounds products such as 4999.999 or 5000.001.
        return hub.get_info('iter', 0) > start - 0.5

    def mask(self, background: Tensor, inputs: MaskingInputs) -> Tensor:
        """Choose the background locations to mask, none before the start.

        Args:
            background (Tensor): (num_locations, ) bool.
            inputs (MaskingInputs): of the same locations. They get no
                gradient.

        Returns:
            Tensor: boolean mask of shape (num_locations, ).
        """
        outside = background & ~inputs.in_object
        if not self.has_started():
            return torch.zeros_like(outside)
        unknown = outside & (inputs.objectness.detach() > self.threshold)
        if self.mode == 'pixel':
            return unknown
        return outside & self._areas(unknown, inputs)

    def _areas(self, unknown: Tensor, inputs: MaskingInputs) -> Tensor:
        """Return the locations inside the boxes of unknown locations."""
        sizes, strides = inputs.featmap_sizes, inputs.strides
        num_images = len(unknown) // sum(h * w for h, w in sizes)
        grid = location_grid(sizes, strides, num_images, unknown.device)
        # The host waits here for the device.
        inds = unknown.nonzero().squeeze(1)
        boxes, image = inputs.boxes.detach()[inds], grid.image[inds]
        if self.nms is not None and len(inds):
            scores = inputs.objectness.detach()[inds]
            # batched_nms separates images by an offset that assumes
            # non-negative coordinates.
            positive = boxes.float() - boxes.min().float()
            _, keep = batched_nms(positive, scores.float(), image, self.nms)
            boxes, image = boxes[keep], image[keep]
        return covered_by(sizes, strides, num_images, boxes, image)
