"""Assign boxes to the locations of a feature pyramid and sample the cues'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from mmdet.registry import TASK_UTILS
from torch import Tensor

from mmdet_owp.errors import UserError
from mmdet_owp.models.task_modules.locations import (
    level_constants,
    number_boxes,
)

CANDIDATES = ('center', 'foreground', 'center+hard', 'all')


class Assignment(NamedTuple):
    """Boxes of the locations of a batch, numbered image after image.

    Attributes:
        regression (Tensor): (num_locations, ) int64, the box that the
            regression is trained toward: the smallest of those whose center
            region contains the location and that fit its level (the set
            `center`). -1: none.
        cue (Tensor): (num_locations, ) int64, the box that the cues are
            measured against: that of the regression if there is one, else the
            smallest that contains the location and fits its level. -1: none.
    """

    regression: Tensor
    cue: Tensor


class _Levels(NamedTuple):
    """Constants per level; tensors are (num_levels, 1)."""

    strides: Sequence[int]
    window: Sequence[float]  # longest window of a box, in pixels
    step: Tensor
    low: Tensor
    high: Tensor
    radius: Tensor


class _Axis(NamedTuple):
    """Windows along one axis, (num_levels, num_boxes, length)."""

    index: Tensor
    nearest: Tensor  # distance to the nearer side
    farthest: Tensor
    central: Tensor  # whether in the center region


@TASK_UTILS.register_module()
class IoUSampler:
    """Center sampling and IoU sampling of FCOS locations (paper, Sec. 3.2).

    A location fits a box if it lies strictly inside it and the distance to
    the farthest side is within the range of its level.

    A box can only fit locations in a small window of each level, whose size
    does not depend on the box. These windows are tested for all boxes and
    levels at once: no (locations x boxes) tensor is built and the host does
    not wait for the device.

    Args:
        candidates (str): locations that train the objectness cues.
            ``'center'``: those that train the regression.
            ``'foreground'``: those that fit a box.
            ``'center+hard'``: ``center`` and the locations of ``foreground``
            whose predicted box has an IoU below ``iou_thr``.
            ``'all'``: all locations, with target 0 where no box fits
            (Appendix B).
        iou_thr (float): IoU targets below it become 0.
        center_radius (float, optional): the center region of a box extends
            ``center_radius`` strides from its center. None: the whole box,
            as in the first FCOS.
        ignore_crowd (bool): whether locations inside a crowd region and no
            object are ignored instead of being background.
    """

    def __init__(
        self,
        candidates: str = 'center',
        iou_thr: float = 0.0,
        center_radius: float | None = 1.5,
        ignore_crowd: bool = True,
    ) -> None:
        if candidates not in CANDIDATES:
            raise UserError(
                f'candidates must be one of {CANDIDATES}, not {candidates!r}'
            )
        if not 0 <= iou_thr <= 1:
            raise UserError(f'iou_thr must lie in [0, 1], not {iou_thr}')
        if candidates == 'center+hard' and iou_thr == 0:
            raise UserError(
                "candidates='center+hard' needs iou_thr > 0: hard locations "
                'are those below it'
            )
        if center_radius is not None and center_radius <= 0:
            raise UserError(
                'center_radius must be positive, or None for no center '
                f'sampling, not {center_radius}'
            )
        self.candidates = candidates
        self.iou_thr = iou_thr
        self.center_radius = center_radius
        self.ignore_crowd = ignore_crowd

    @property
    def uses_background(self) -> bool:
        """Whether locations that fit no box train the cues."""
        return self.candidates == 'all'

    def assign(
        self,
        featmap_sizes: Sequence[tuple[int, int]],
        strides: Sequence[int],
        regress_ranges: Sequence[tuple[float, float]],
        batch_boxes: Sequence[Tensor],
    ) -> Assignment:
        """Find the box of each location.

        Args:
            featmap_sizes (list[tuple[int, int]]): (height, width) per level.
            strides (list[int]): pixels between locations, per level.
            regress_ranges (list[tuple[float, float]]): smallest and largest
                distance to the farthest box side, in pixels, per level.
            batch_boxes (list[Tensor]): objects of each image, (num_boxes, 4)
                as (x1, y1, x2, y2) in pixels. Boxes without area or outside
                the feature map fit no location.

        Returns:
            Assignment: boxes of the locations, in the order of
            :mod:`~mmdet_owp.models.task_modules.locations`.
        """
        boxes, image = number_boxes(batch_boxes)
        rows, columns, fits, central = self._windows(
            featmap_sizes, strides, regress_ranges, boxes
        )
        locations = _flat_index(
            featmap_sizes, rows, columns, image, batch_boxes
        )
        num_locations = len(batch_boxes) * sum(h * w for h, w in featmap_sizes)
        smallest_of = _smallest_box(boxes, locations, num_locations)
        regression = smallest_of(central)
        if self.candidates == 'center' or self.center_radius is None:
            return Assignment(regression, regression)
        smallest = smallest_of(fits)
        return Assignment(
            regression, torch.where(regression >= 0, regression, smallest)
        )

    def _windows(
        self,
        featmap_sizes: Sequence[tuple[int, int]],
        strides: Sequence[int],
        regress_ranges: Sequence[tuple[float, float]],
        boxes: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Test the window of locations that each box may fit, on all levels.

        Returns:
            tuple: row indices (num_levels, num_boxes, h) and column indices
            (num_levels, num_boxes, w); boolean masks (num_levels, num_boxes,
            h, w) of the locations that fit the box, and of those that also
            lie in its center region.
        """
        radii = [(self.center_radius or 0) * stride for stride in strides]
        lows, highs = zip(*regress_ranges)
        window = highs
        if self.candidates == 'center' and self.center_radius is not None:
            window = [min(h, 2 * r) for h, r in zip(highs, radii)]
        constants = level_constants(
            boxes.device, [strides, lows, highs, radii], boxes.dtype
        )
        levels = _Levels(strides, window, *constants[..., None])
        heights, widths = zip(*featmap_sizes)
        x1, y1, x2, y2 = boxes.unbind(1)
        y = self._axis(levels, heights, y1, y2)
        x = self._axis(levels, widths, x1, x2)

        def combine(operator: Callable, rows: Tensor, columns: Tensor):
            return operator(rows[..., None], columns[..., None, :])

        far = combine(torch.maximum, y.farthest, x.farthest)
        fits = combine(torch.logical_and, y.nearest > 0, x.nearest > 0)
        low, high = levels.low[..., None, None], levels.high[..., None, None]
        fits = fits & (far >= low) & (far <= high)
        central = fits
        if self.center_radius is not None:
            central = fits & combine(torch.logical_and, y.central, x.central)
        return y.index, x.index, fits, central

    def _axis(
        self, levels: _Levels, cells: Sequence[int], begin: Tensor, end: Tensor
    ) -> _Axis:
        """Find the windows of the boxes [begin, end] along one axis.

        All windows are as long as the longest level's. Where the map is
        shorter its last location is repeated, which does not change a
        minimum over the window.
        """
        center = (begin + end) / 2
        # Both distances of a fitting location are at most `high`, so it lies
        # in [end - high, begin + high], whose part inside the box is never
        # longer than `high`.
        first = torch.maximum(begin, end - levels.high)
        if self.candidates == 'center' and self.center_radius is not None:
            first = torch.maximum(first, center - levels.radius)
        lengths = [
            min(int(min(w / s, c)) + 2, c)
            for w, s, c in zip(levels.window, levels.strides, cells)
        ]
        bounds = [
            [c - n for c, n in zip(cells, lengths)],
            [c - 1 for c in cells],
        ]
        last_start, last = level_constants(begin.device, bounds)[..., None]
        start = (first / levels.step - 0.5).floor().clamp(min=0)
        start = torch.minimum(start, last_start).long()[..., None]
        index = start + level_constants(begin.device, [range(max(lengths))])
        index = torch.minimum(index, last[..., None])
        position = (index.to(begin.dtype) + 0.5) * levels.step[..., None]
        to_begin = position - begin[:, None]
        to_end = end[:, None] - position
        lower = torch.maximum(center - levels.radius, begin)[..., None]
        upper = torch.minimum(center + levels.radius, end)[..., None]
        return _Axis(
            index,
            torch.minimum(to_begin, to_end),
            torch.maximum(to_begin, to_end),
            (position > lower) & (position < upper),
        )

    def sample(
        self, ious: Tensor, in_regression: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Choose the locations that train the cues (IoU sampling).

        Args:
            ious (Tensor): (n, ) IoU of predicted and cue box of the locations
                with a cue box. It gets no gradient.
            in_regression (Tensor): (n, ) bool, whether the location trains
                the regression.

        Returns:
            tuple[Tensor, Tensor]: whether the location trains the cues, (n, )
            bool, and its IoU target, (n, ) in [0, 1].
        """
        ious = ious.detach()
        low = ious < self.iou_thr
        if self.candidates == 'center':
            chosen = in_regression
        elif self.candidates == 'center+hard':
            chosen = in_regression | low
        else:
            chosen = torch.ones_like(in_regression)
        return chosen, ious.masked_fill(low, 0)


def _flat_index(
    featmap_sizes: Sequence[tuple[int, int]],
    rows: Tensor,
    columns: Tensor,
    image: Tensor,
    batch_boxes: Sequence[Tensor],
) -> Tensor:
    """Number the locations of the windows, (num_levels, num_boxes, h, w)."""
    widths = [width for _, width in featmap_sizes]
    areas = [height * width for height, width in featmap_sizes]
    # The first location of an image within a level, and of the level.
    firsts = [*accumulate([0, *areas[:-1]])]
    widths, areas, firsts = level_constants(
        rows.device, [widths, areas, firsts]
    )
    starts = firsts[:, None] * len(batch_boxes) + areas[:, None] * image
    row_starts = starts[..., None] + rows * widths[:, None, None]
    return row_starts[..., None] + columns[..., None, :]


def _smallest_box(
    boxes: Tensor, locations: Tensor, num_locations: int
) -> Callable[[Tensor], Tensor]:
    """Return a function from a mask of windows to a box per location.

    It takes the smallest of a location's boxes, the first of equal ones, as
    FCOS does: the one of the lowest rank. -1: none.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    by_rank = areas.argsort(stable=True)
    rank = torch.empty_like(by_rank)
    rank[by_rank] = torch.arange(len(boxes), device=boxes.device)
    none = len(boxes)
    by_rank = torch.cat([by_rank, by_rank.new_full((1,), -1)])
    ranks = rank[:, None, None].expand_as(locations)

    def smallest_of(chosen: Tensor) -> Tensor:
        lowest = ranks.new_full((num_locations,), none)
        lowest.scatter_reduce_(
            0,
            locations.flatten(),
            ranks.masked_fill(~chosen, none).flatten(),
            'amin',
        )
        return by_rank[lowest]

    return smallest_of
