"""Locations of a feature pyramid, flattened over a batch.

The order is that of mmdet's flattened head outputs: level by level, within a
level image by image, within an image row by row. The location of row ``y`` and
column ``x`` of a level lies at ``((x + 0.5) * stride, (y + 0.5) * stride)`` in
pixels of the network input, as in mmdet's ``MlvlPointGenerator``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def flatten_levels(levels: Sequence[Tensor]) -> Tensor:
    """Flatten maps (batch, channels, H, W) to (num_locations, channels)."""
    return torch.cat(
        [
            level.permute(0, 2, 3, 1).reshape(-1, level.shape[1])
            for level in levels
        ]
    )


def group_by_image(
    values: Tensor, featmap_sizes: Sequence[tuple[int, int]]
) -> Tensor:
    """Rearrange (num_locations, ...) to (num_images, locations, ...)."""
    areas = [height * width for height, width in featmap_sizes]
    num_images = len(values) // sum(areas)
    levels = values.split([num_images * area for area in areas])
    return torch.cat(
        [level.unflatten(0, (num_images, -1)) for level in levels], 1
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
    values: Sequence[Iterable[float]],
    dtype: torch.dtype = torch.long,
) -> Tensor:
    """Copy numbers per level to the device without waiting for it."""
    return torch.tensor([list(row) for row in values], dtype=dtype).to(
        device, non_blocking=True
    )


def covered_locations(
    featmap_sizes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    batch_boxes: Sequence[Tensor],
) -> Tensor:
    """Return which locations lie strictly inside any box, on all levels.

    Each box adds one to a rectangle of the level by its four corners and two
    cumulative sums, so the cost grows with locations plus boxes.

    Args:
        featmap_sizes (list[tuple[int, int]]): (height, width) per level.
        strides (list[int]): pixels between locations, per level.
        batch_boxes (list[Tensor]): boxes of each image, (num_boxes, 4) as
            (x1, y1, x2, y2) in pixels.

    Returns:
        Tensor: boolean mask of shape (num_locations, ).
    """
    boxes, image = number_boxes(batch_boxes)
    # In double precision a division by any stride keeps the comparison exact.
    boxes, masks = boxes.double(), []
    for (height, width), stride in zip(featmap_sizes, strides):
        x1, y1, x2, y2 = (boxes / stride - 0.5).unbind(1)
        # Half-open ranges of the cells strictly inside the box.
        left = (x1.floor() + 1).clamp(0, width).long()
        right = x2.ceil().clamp(0, width).long()
        top = (y1.floor() + 1).clamp(0, height).long()
        bottom = y2.ceil().clamp(0, height).long()
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
