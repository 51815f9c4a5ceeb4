"""Locations of a feature pyramid, flattened over a batch.

The order is that of mmdet's flattened head outputs: level by level, within a
level image by image, within an image row by row. The location of row ``y`` and
column ``x`` of a level lies at ``((x + 0.5) * stride, (y + 0.5) * stride)`` in
pixels of the network input, as in mmdet's ``MlvlPointGenerator``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

# Sizes whose constants are kept: enough for multi-scale training to hit
# often, few enough to stay below some 100 MB at the paper's batch.
_NUM_SIZES = 16


def flatten_levels(levels: Sequence[Tensor]) -> Tensor:
    """Flatten maps (batch, channels, H, W) to (num_locations, channels)."""
    return torch.cat(
        [
            level.permute(0, 2, 3, 1).reshape(-1, level.shape[1])
            for level in levels
        ]
    )


def number_boxes(batch_boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Concatenate the boxes of a batch; also return each one's image index."""
    image = [
        boxes.new_full((len(boxes),), index, dtype=torch.long)
        for index, boxes in enumerate(batch_boxes)
    ]
    return torch.cat(list(batch_boxes)), torch.cat(image)


def level_constants(
    device: torch.device,
    values: Sequence[Sequence[float]],
    dtype: torch.dtype = torch.long,
) -> Tensor:
    """Return numbers per level on the device; equal ones are copied once.

    The result is shared: do not change it in place.
    """
    return _constants(device, tuple(map(tuple, values)), dtype)


@lru_cache(maxsize=16 * _NUM_SIZES)
# Tensors made in inference mode could not be used in training.
@torch.inference_mode(False)
def _constants(
    device: torch.device, values: tuple, dtype: torch.dtype
) -> Tensor:
    """Copy numbers to the device."""
    return torch.tensor(values, dtype=dtype).to(device, non_blocking=True)


class Grid(NamedTuple):
    """Locations of a batch; shared, so not to be changed in place.

    Attributes:
        points (Tensor): (num_locations, 2) their (x, y) in pixels.
        strides (Tensor): (num_locations, 1) pixels between locations.
        image (Tensor): (num_locations, ) int64, index of the image.
    """

    points: Tensor
    strides: Tensor
    image: Tensor


def location_grid(
    featmap_sizes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    num_images: int,
    device: torch.device,
) -> Grid:
    """Return the locations of a batch in single precision.

    Args:
        featmap_sizes (list[tuple[int, int]]): (height, width) per level.
        strides (list[int]): pixels between locations, per level.
        num_images (int): images in the batch.
        device (torch.device): of the result.
    """
    sizes = tuple(map(tuple, featmap_sizes))
    return _grid(sizes, tuple(strides), num_images, device)


@lru_cache(maxsize=_NUM_SIZES)
@torch.inference_mode(False)
def _grid(
    sizes: tuple, strides: tuple, num_images: int, device: torch.device
) -> Grid:
    """Make the grid of a size."""
    points, images, steps = [], [], []
    for (height, width), stride in zip(sizes, strides):
        y, x = (
            (torch.arange(cells) + 0.5) * stride for cells in (height, width)
        )
        level = torch.stack([x.repeat(height), y.repeat_interleave(width)], 1)
        points.append(level.repeat(num_images, 1))
        images.append(torch.arange(num_images).repeat_interleave(len(level)))
        steps.append(torch.full((len(points[-1]), 1), float(stride)))
    parts = torch.cat(points), torch.cat(steps), torch.cat(images)
    return Grid(*(part.to(device, non_blocking=True) for part in parts))


class _Canvas(NamedTuple):
    """Constants to count boxes on all levels side by side.

    An image has as many rows as the highest level and one, and for each level
    as many columns as it has and one.
    """

    size: tuple[int, int]  # rows and columns per image
    strides: Tensor  # (num_levels, 1)
    cells: Tensor  # (2, num_levels, 1): columns and rows of the levels
    first: Tensor  # (num_levels, 1): first column of the level
    signs: Tensor  # (2, 2, 1, 1): of the corners (top, bottom) x (left, right)
    index: Tensor  # (num_locations, ): the location in the flat canvas


@lru_cache(maxsize=_NUM_SIZES)
@torch.inference_mode(False)
def _canvas(
    sizes: tuple, strides: tuple, num_images: int, device: torch.device
) -> _Canvas:
    """Make the canvas of a size."""
    rows = max(height for height, _ in sizes) + 1
    *first, columns = accumulate([0] + [width + 1 for _, width in sizes])
    image = rows * columns * torch.arange(num_images)[:, None, None]
    index = [
        image + columns * torch.arange(h)[:, None] + left + torch.arange(w)
        for (h, w), left in zip(sizes, first)
    ]
    tensors = (
        torch.tensor(strides, dtype=torch.double)[:, None],
        torch.tensor(sizes, dtype=torch.double).t().flip(0)[..., None],
        torch.tensor(first)[:, None],
        torch.tensor([[1, -1], [-1, 1]], dtype=torch.int32)[..., None, None],
        torch.cat([level.flatten() for level in index]),
    )
    tensors = (tensor.to(device, non_blocking=True) for tensor in tensors)
    return _Canvas((rows, columns), *tensors)


def covered_locations(
    featmap_sizes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    batch_boxes: Sequence[Tensor],
) -> Tensor:
    """Return which locations lie strictly inside any box, on all levels.

    Args:
        featmap_sizes (list[tuple[int, int]]): (height, width) per level.
        strides (list[int]): pixels between locations, per level.
        batch_boxes (list[Tensor]): boxes of each image, (num_boxes, 4) as
            (x1, y1, x2, y2) in pixels.

    Returns:
        Tensor: boolean mask of shape (num_locations, ).
    """
    boxes, image = number_boxes(batch_boxes)
    return covered_by(featmap_sizes, strides, len(batch_boxes), boxes, image)


def covered_by(
    featmap_sizes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    num_images: int,
    boxes: Tensor,
    image: Tensor,
) -> Tensor:
    """Return which locations lie strictly inside any box of their image.

    Each box adds one to a rectangle of each level by its four corners and two
    cumulative sums, so the cost grows with locations plus boxes. All levels
    lie side by side on one canvas of integers.

    Args:
        featmap_sizes (list[tuple[int, int]]): (height, width) per level.
        strides (list[int]): pixels between locations, per level.
        num_images (int): images in the batch.
        boxes (Tensor): (num_boxes, 4) as (x1, y1, x2, y2) in pixels.
        image (Tensor): (num_boxes, ) int64, index of each one's image.

    Returns:
        Tensor: boolean mask of shape (num_locations, ).
    """
    canvas = _canvas(
        tuple(map(tuple, featmap_sizes)), tuple(strides), num_images,
        boxes.device,
    )  # fmt: skip
    rows, columns = canvas.size
    # In double precision a division by any stride keeps the comparison exact.
    corners = boxes.double().t().reshape(2, 2, 1, -1) / canvas.strides
    # Half-open ranges of the cells strictly inside the box, (2, num_levels,
    # num_boxes). The corners of an empty range cancel out.
    end = (corners[1] - 0.5).ceil().clamp(min=0)
    end = torch.minimum(end, canvas.cells)
    begin = torch.minimum((corners[0] + 0.5).floor().clamp(min=0), end)
    # A box that is not a number must not lead beyond the canvas.
    x, y = torch.stack([begin, end], 1).nan_to_num(0).long()
    y = (y + image * rows) * columns + canvas.first
    index = y[:, None] + x
    counts = index.new_zeros(
        num_images * rows * columns, dtype=canvas.signs.dtype
    )
    counts.scatter_add_(
        0, index.flatten(), canvas.signs.expand_as(index).flatten()
    )
    counts = counts.view(num_images, rows, columns)
    counts = counts.cumsum(1, dtype=counts.dtype)
    counts = counts.cumsum(2, dtype=counts.dtype)
    return counts.flatten().index_select(0, canvas.index) > 0
