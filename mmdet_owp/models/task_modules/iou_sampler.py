"""Which location of the feature pyramid trains what, and toward which box."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

CANDIDATES = ('center', 'foreground', 'center+hard', 'all')


class Assignment(NamedTuple):
    """Boxes of the locations of a batch.

    Locations are in the order of mmdet's flattened head outputs: level by
    level, in a level image by image, in an image row by row. Boxes are
    numbered through the batch, image after image; -1 stands for none.

    Attributes:
        regression (Tensor): (num_locations, ) int64, the box that a location
            regresses toward: the smallest among those whose centre region it
            lies in and that fit its level (the set `center`).
        cue (Tensor): (num_locations, ) int64, the box that its objectness cue
            is measured against: that of the regression where there is one,
            else the smallest around it that fits its level.
    """

    regression: Tensor
    cue: Tensor


@TASK_UTILS.register_module()
class IoUSampler:
    """Centre sampling and IoU sampling of FCOS locations (paper, Sec. 3.2).

    The location of row ``y``, column ``x`` of a level lies at
    ``((x + 0.5) * stride, (y + 0.5) * stride)`` in pixels of the network
    input, as mmdet's ``MlvlPointGenerator`` puts it. It fits a box in whose
    inside it lies and whose farthest side is within its level's range.

    A box can only fit the locations of a small window of each level, whose
    size does not depend on the box: these are tested, all boxes and levels at
    once, so that no (locations x boxes) tensor is built and nothing waits for
    the GPU.

    Args:
        candidates (str): locations that train the objectness cue.
            ``'center'``: those that train the regression.
            ``'foreground'``: those that fit a box.
            ``'center+hard'``: ``center`` and the ones of ``foreground`` whose
            predicted box has an IoU below ``iou_thr``.
            ``'all'``: every location, with target 0 where no box fits
            (Appendix B).
        iou_thr (float): IoU targets below it become 0. 0 keeps them all.
        center_radius (float, optional): the regression is trained inside of
            ``center_radius`` strides around a box centre. None: in the whole
            box, as in the first FCOS.
        ignore_crowd (bool): whether a location in a crowd region and in no
            object is left out, instead of being background.
    """

    def __init__(
        self,
        candidates: str = 'center',
        iou_thr: float = 0.0,
        center_radius: float | None = 1.5,
        ignore_crowd: bool = True,
    ) -> None:
        if candidates not in CANDIDATES:
            raise ValueError(
                f'candidates must be one of {CANDIDATES}, not {candidates!r}'
            )
        if not 0 <= iou_thr <= 1:
            raise ValueError(f'iou_thr must lie in [0, 1], not {iou_thr}')
        if candidates == 'center+hard' and iou_thr == 0:
            raise ValueError(
                "candidates='center+hard' needs iou_thr > 0: locations below "
                'it are the hard ones'
            )
        if center_radius is not None and center_radius <= 0:
            raise ValueError(
                'center_radius must be positive, or None for no '
                f'centre sampling, not {center_radius}'
            )
        self.candidates = candidates
        self.iou_thr = iou_thr
        self.center_radius = center_radius
        self.ignore_crowd = ignore_crowd

    def assign(
        self,
        featmap_sizes: Sequence[tuple[int, int]],
        strides: Sequence[int],
        regress_ranges: Sequence[tuple[float, float]],
        batch_boxes: Sequence[Tensor],
    ) -> Assignment:
        """Find the box of every location.

        Args:
            featmap_sizes (list[tuple[int, int]]): (height, width) of the
                levels, in locations.
            strides (list[int]): pixels between locations, per level.
            regress_ranges (list[tuple[float, float]]): smallest and largest
                distance to the farthest box side, in pixels, per level.
            batch_boxes (list[Tensor]): objects of each image, (num_boxes, 4)
                as (x1, y1, x2, y2) in pixels. Boxes without area and boxes
                beyond the feature map meet no location.

        Returns:
            Assignment: boxes of the locations.
        """
        boxes, image = _number_through(batch_boxes)
        num_images = len(batch_boxes)
        num_locations = num_images * sum(h * w for h, w in featmap_sizes)
        # A location takes the smallest of its boxes; of equal ones the first,
        # as in FCOS. So it takes the box of the lowest rank.
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        by_rank = areas.argsort(stable=True)
        rank = torch.empty_like(by_rank)
        rank[by_rank] = torch.arange(len(boxes), device=boxes.device)
        none = len(boxes)
        by_rank = torch.cat([by_rank, by_rank.new_full((1,), -1)])

        rows, columns, fits, is_center = self._windows(
            featmap_sizes, strides, regress_ranges, boxes
        )
        widths = [width for _, width in featmap_sizes]
        areas = [height * width for height, width in featmap_sizes]
        # The first location of an image in a level, and what lies before.
        firsts = accumulate([0, *areas[:-1]])
        widths, areas, firsts = _to(boxes.device, [widths, areas, firsts])
        starts = firsts[:, None] * num_images + areas[:, None] * image
        row_starts = starts[..., None] + rows * widths[:, None, None]
        locations = row_starts[..., None] + columns[..., None, :]
        ranks = rank[:, None, None].expand_as(fits)

        def smallest_of(chosen: Tensor) -> Tensor:
            lowest = ranks.new_full((num_locations,), none)
            lowest.scatter_reduce_(
                0,
                locations.flatten(),
                ranks.masked_fill(~chosen, none).flatten(),
                'amin',
            )
            return by_rank[lowest]

        regression = smallest_of(is_center)
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
        """Test the locations that a box may meet, on all levels at once.

        A window is as long as the longest of all levels. Where the map is
        shorter, its last location stands in it more than once, which leaves
        a minimum over them as it is.

        Returns:
            tuple: rows (num_levels, num_boxes, h) and columns (num_levels,
            num_boxes, w) of a window of h x w locations a box; whether they
            fit the box, and whether they also lie in its centre region,
            (num_levels, num_boxes, h, w) bool.
        """
        radii = [(self.center_radius or 0) * stride for stride in strides]
        lows, highs = zip(*regress_ranges)
        constants = _to(
            boxes.device, [strides, lows, highs, radii], boxes.dtype
        )
        steps, low, high, radius = constants[..., None]
        index, nearest, farthest, central = [], [], [], []
        for axis, cells in (
            (1, [h for h, _ in featmap_sizes]),
            (0, [w for _, w in featmap_sizes]),
        ):
            begin, end = boxes[:, axis], boxes[:, axis + 2]
            # Both distances of a fitting location are at most `high`, so it
            # lies in [end - high, begin + high], which inside of the box is
            # never longer than `high`.
            first, reach = torch.maximum(begin, end - high), highs
            if self.center_radius is not None:
                center = (begin + end) / 2
                if self.candidates == 'center':
                    first = torch.maximum(first, center - radius)
                    reach = [min(h, 2 * r) for h, r in zip(highs, radii)]
            lengths = [
                min(int(min(r / s, c)) + 2, c)
                for r, s, c in zip(reach, strides, cells)
            ]
            last = _to(
                boxes.device,
                [
                    [c - n for c, n in zip(cells, lengths)],
                    [c - 1 for c in cells],
                ],
            )[..., None]
            start = (first / steps - 0.5).floor().clamp(min=0)
            i = torch.minimum(start, last[0]).long()[..., None] + torch.arange(
                max(lengths), device=boxes.device
            )
            i = torch.minimum(i, last[1, ..., None])
            position = (i.to(boxes.dtype) + 0.5) * steps[..., None]
            to_begin = position - begin[:, None]
            to_end = end[:, None] - position
            index.append(i)
            nearest.append(torch.minimum(to_begin, to_end))
            farthest.append(torch.maximum(to_begin, to_end))
            if self.center_radius is not None:
                lower = torch.maximum(center - radius, begin)[..., None]
                upper = torch.minimum(center + radius, end)[..., None]
                central.append((position > lower) & (position < upper))

        def over_windows(of_rows: Tensor, of_columns: Tensor, operator):
            return operator(of_rows[..., None], of_columns[..., None, :])

        far = over_windows(*farthest, torch.maximum)
        fits = over_windows(nearest[0] > 0, nearest[1] > 0, torch.logical_and)
        fits = (
            fits
            & (far >= low[..., None, None])
            & (far <= high[..., None, None])
        )
        if self.center_radius is None:
            return index[0], index[1], fits, fits
        return (
            index[0],
            index[1],
            fits,
            fits & over_windows(*central, torch.logical_and),
        )

    @staticmethod
    def covered(
        featmap_sizes: Sequence[tuple[int, int]],
        strides: Sequence[int],
        batch_boxes: Sequence[Tensor],
    ) -> Tensor:
        """Tell which locations lie inside of any of the boxes, on any level.

        Every box adds one to a rectangle of the level, by its four corners
        and two cumulative sums, so that the cost grows with locations plus
        boxes.

        Args:
            featmap_sizes (list[tuple[int, int]]): as in :meth:`assign`.
            strides (list[int]): as in :meth:`assign`.
            batch_boxes (list[Tensor]): as in :meth:`assign`.

        Returns:
            Tensor: (num_locations, ) bool, in the order of
            :class:`Assignment`.
        """
        boxes, image = _number_through(batch_boxes)
        # In double, a division by any stride keeps "strictly inside" exact.
        x1, y1, x2, y2 = boxes.double().unbind(1)
        masks = []
        for (height, width), stride in zip(featmap_sizes, strides):

            def cell(side: Tensor, cells: int, stride: int = stride) -> Tensor:
                return (side / stride - 0.5).clamp(-1, cells)

            # Half-open ranges of the cells strictly inside of the box.
            left = (cell(x1, width).floor() + 1).long().clamp(max=width)
            right = cell(x2, width).ceil().long().clamp(min=0)
            top = (cell(y1, height).floor() + 1).long().clamp(max=height)
            bottom = cell(y2, height).ceil().long().clamp(min=0)
            one = ((left < right) & (top < bottom)).long()
            count = one.new_zeros(len(batch_boxes), height + 1, width + 1)
            for y, x, step in (
                (top, left, one),
                (top, right, -one),
                (bottom, left, -one),
                (bottom, right, one),
            ):
                count.index_put_((image, y, x), step, accumulate=True)
            count = count.cumsum(1).cumsum(2)[:, :height, :width]
            masks.append((count > 0).flatten())
        return torch.cat(masks)

    def sample(
        self, pred_boxes: Tensor, target_boxes: Tensor, in_regression: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Choose the cue's locations among those with a box (IoU sampling).

        Args:
            pred_boxes (Tensor): (n, 4) predicted boxes (x1, y1, x2, y2) of
                the locations with a cue box. No gradient flows into them.
            target_boxes (Tensor): (n, 4) the cue boxes, in the same units.
            in_regression (Tensor): (n, ) bool, whether the location trains
                the regression.

        Returns:
            tuple[Tensor, Tensor]: whether the location trains the cue, (n, )
            bool, and its IoU target, (n, ) in [0, 1].
        """
        ious = bbox_overlaps(
            pred_boxes.detach(), target_boxes, is_aligned=True
        )
        low = ious < self.iou_thr
        if self.candidates == 'center':
            chosen = in_regression
        elif self.candidates == 'center+hard':
            chosen = in_regression | low
        else:
            chosen = torch.ones_like(in_regression)
        return chosen, ious.masked_fill(low, 0)


def _number_through(batch_boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Concatenate the boxes of a batch, with the image index of each."""
    image = [
        boxes.new_full((len(boxes),), index, dtype=torch.long)
        for index, boxes in enumerate(batch_boxes)
    ]
    return torch.cat(list(batch_boxes)), torch.cat(image)


def _to(
    device: torch.device,
    values: Sequence[Iterable[float]],
    dtype: torch.dtype = torch.long,
) -> Tensor:
    """Bring numbers of the levels to the device, without waiting for it."""
    return torch.tensor([list(row) for row in values], dtype=dtype).to(
        device, non_blocking=True
    )
