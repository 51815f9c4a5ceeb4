"""Images of the built-in data: outlined shapes in clutter.

Every image has a textured background, distractors (textures without a closed
crisp outline) and objects of the 22 families of ``mmdet_owp.partitions``. Base
and novel objects share one distribution of color, texture, size, position,
shading and number; they differ by their outline only.

Boxes are modal: the smallest box around the *visible* pixels of an object.

Example:
    >>> image, objects = draw_image(np.random.default_rng(0), size=64)
    >>> image.shape, image.dtype
    ((64, 64, 3), dtype('uint8'))
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from mmdet_owp.partitions import SHAPES_BASE, SHAPES_NOVEL
from mmdet_owp.shapes.objects import FAMILIES, draw_alpha, paint_object
from mmdet_owp.shapes.textures import (
    Generator,
    blend,
    draw_noise,
    draw_palette,
    draw_plain,
    draw_texture,
    ramp,
    scale_brightness,
)

MIN_SIDE = 8  # longest side of a visible box, pixels
MIN_AREA = 20  # visible pixels of an object
MIN_VISIBLE = 0.5  # visible fraction of an object's mask
# Side of the largest object, as a fraction of the image side.
MAX_SIDE = 0.9

_PLACE_TRIES = 10


class ShapeObject(NamedTuple):
    """One object of an image.

    Attributes:
        category_id (int): key of ``FAMILIES``.
        bbox (tuple[float, float, float, float]): x, y, width, height of the
            visible mask, in pixels.
        mask (np.ndarray): visible pixels, bool, (size, size).
    """

    category_id: int
    bbox: tuple[float, float, float, float]
    mask: np.ndarray


def draw_image(
    rng: Generator, size: int = 128
) -> tuple[np.ndarray, list[ShapeObject]]:
    """Draw one image.

    Args:
        rng (np.random.Generator): source of all randomness.
        size (int): side of the square image, in pixels. Default 128.

    Returns:
        tuple: the image, uint8 (size, size, 3), BGR; and its objects
        (list[ShapeObject]) from bottom to top.
    """
    palette = draw_palette(rng)
    image = _draw_background(rng, palette, size)
    for _ in range(rng.integers(3, 8)):
        _add_distractor(rng, palette, image)
    # Index of the object that a pixel shows, -1 for none.
    owner = np.full((size, size), -1, np.int16)
    category_ids, full_areas = [], []
    for _ in range(_draw_num_objects(rng)):
        # Base or novel with equal probability, then a family.
        families = (SHAPES_BASE, SHAPES_NOVEL)[rng.integers(2)]
        category_id = int(rng.choice(list(families)))
        side = math.exp(
            rng.triangular(
                math.log(MIN_SIDE + 1),
                math.log(max(0.18 * size, 12)),
                math.log(MAX_SIDE * size),
            )
        )
        alpha = draw_alpha(rng, FAMILIES[category_id], side)
        mask = alpha >= 0.5
        if not _is_large_enough(mask):
            continue
        position = _find_position(rng, owner, mask, full_areas)
        if position is None:
            continue
        x, y = position
        paint_object(rng, palette, image, alpha, x, y)
        height, width = mask.shape
        owner[y : y + height, x : x + width][mask] = len(category_ids)
        category_ids.append(category_id)
        full_areas.append(np.count_nonzero(mask))

    objects = []
    for index, category_id in enumerate(category_ids):
        visible = owner == index
        objects.append(ShapeObject(category_id, _tight_box(visible), visible))
    return _take_photo(rng, image), objects


def _draw_background(
    rng: Generator, palette: np.ndarray, size: int
) -> np.ndarray:
    """Draw a texture under soft-edged patches of other textures."""
    image = draw_texture(rng, palette, size, size)
    for _ in range(rng.integers(1, 4)):
        noise = draw_noise(rng, size, size, size / 8, size / 2)
        # The slope is gentle: a patch has no crisp edge.
        alpha = np.clip((noise - rng.uniform(-0.2, 0.4)) * 2.5, 0, 1)
        blend(image, draw_texture(rng, palette, size, size), alpha)
    return image


def _add_distractor(
    rng: Generator, palette: np.ndarray, image: np.ndarray
) -> None:
    """Paint something that is no object, in place.

    Lines, grids and scribbles are crisp but enclose nothing; patches of
    texture and blobs enclose an area but have no crisp edge.
    """
    kind = rng.choice(['lines', 'scribble', 'grid', 'patch', 'blob'])
    if kind in ('patch', 'blob'):
        _add_soft_area(rng, palette, image, kind)
        return
    size = len(image)
    canvas = np.zeros((size, size), np.uint8)
    thickness = int(rng.integers(1, 3))
    if kind == 'scribble':
        curves = _draw_scribble(rng, size)
    else:
        curves = _draw_lines(rng, size, grid=kind == 'grid')
    cv2.polylines(canvas, curves, False, 255, thickness, cv2.LINE_AA, 4)
    alpha = canvas.astype(np.float32) * (rng.uniform(0.5, 1) / 255)
    blend(image, draw_plain(rng, palette, size, size), alpha)


def _add_soft_area(
    rng: Generator, palette: np.ndarray, image: np.ndarray, kind: str
) -> None:
    """Paint an ellipse that fades out, in place."""
    size = len(image)
    radius = math.exp(rng.uniform(math.log(5), math.log(size / 3)))
    center = rng.uniform(0, size, 2)
    axes = radius * np.exp(rng.uniform(-0.4, 0.4, 2))
    # Cropped at twice the radius, where it has faded out.
    x0, y0 = np.maximum(center - 2 * axes, 0).astype(int)
    x1, y1 = np.minimum(center + 2 * axes + 1, size).astype(int)
    y, x = np.ogrid[y0:y1, x0:x1]
    distance = ((x - center[0]) / axes[0]) ** 2 + (
        (y - center[1]) / axes[1]
    ) ** 2
    alpha = np.exp(-distance * 1.5).astype(np.float32)
    if kind == 'patch':
        paint = draw_texture(rng, palette, y1 - y0, x1 - x0)
    else:
        paint = draw_plain(rng, palette, y1 - y0, x1 - x0)
        alpha *= rng.uniform(0.5, 1)
    blend(image[y0:y1, x0:x1], paint, alpha)


def _draw_scribble(rng: Generator, size: int) -> list[np.ndarray]:
    """Draw up to three parallel curves that bend smoothly.

    Returns:
        list[np.ndarray]: int32 (n, 1, 2), in sixteenths of a pixel.
    """
    num_steps = int(rng.integers(6, 24))
    length = rng.uniform(2.5, 7)
    heading = rng.uniform(0, 6.3) + np.cumsum(rng.normal(0, 0.5, num_steps))
    steps = length * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    points = rng.uniform(0, size, 2) + np.cumsum(steps, axis=0)
    curves = [np.round(points * 16).astype(np.int32)[:, None]]
    for _ in range(rng.integers(0, 3)):
        shift = rng.integers(-160, 160, 2)
        curves.append((curves[0] + shift).astype(np.int32))
    return curves


def _draw_lines(rng: Generator, size: int, grid: bool) -> list[np.ndarray]:
    """Draw parallel lines in one direction, or in two for a grid.

    Returns:
        list[np.ndarray]: int32 (2, 2), in sixteenths of a pixel.
    """
    angles = [rng.uniform(0, math.pi)]
    if grid:
        angles.append(angles[0] + math.pi / 2)
    start = rng.uniform(0, size, 2)
    half = rng.uniform(0.1, 0.6) * size
    gap = rng.uniform(4, 14)
    num_lines = int(rng.integers(1, 5))
    lines = []
    for angle in angles:
        along = np.array([math.cos(angle), math.sin(angle)])
        across = np.array([-along[1], along[0]])
        for k in range(num_lines):
            middle = start + (k - (num_lines - 1) / 2) * gap * across
            # Shifted along its direction: the ends close no corner.
            ends = half * rng.uniform(-1, 1) + half * np.array([-1, 1])
            points = middle + np.outer(ends, along)
            lines.append(np.round(points * 16).astype(np.int32))
    return lines


def _draw_num_objects(rng: Generator) -> int:
    """Draw 0 or 1 for a tenth of the images, else 4 to 10."""
    if rng.random() < 0.1:
        return int(rng.integers(0, 2))
    return int(rng.integers(4, 11))


def _find_position(
    rng: Generator, owner: np.ndarray, mask: np.ndarray, full_areas: list[int]
) -> tuple[int, int] | None:
    """Find a corner x, y that leaves enough of the other objects visible.

    ``owner`` has the index of the object that a pixel shows, ``full_areas``
    the number of pixels of each object's full mask.
    """
    size = len(owner)
    height, width = mask.shape
    for _ in range(_PLACE_TRIES):
        x = int(rng.integers(0, size - width + 1))
        y = int(rng.integers(0, size - height + 1))
        covered = np.zeros(owner.shape, bool)
        covered[y : y + height, x : x + width] = mask
        if all(
            _is_large_enough(
                (owner == i) & ~covered, MIN_VISIBLE * full_areas[i]
            )
            for i in np.unique(owner[covered])
            if i >= 0
        ):
            return x, y
    return None


def _is_large_enough(mask: np.ndarray, min_area: float = 0) -> bool:
    """Return whether a visible mask is worth annotating."""
    if np.count_nonzero(mask) < max(MIN_AREA, min_area):
        return False
    return max(_tight_box(mask)[2:]) >= MIN_SIDE


def _tight_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Return x, y, width and height of the true pixels (at least one)."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return float(x), float(y), float(width), float(height)


def _take_photo(rng: Generator, image: np.ndarray) -> np.ndarray:
    """Add uneven light, a mild blur and sensor noise; return uint8."""
    angle, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.3)
    height, width = image.shape[:2]
    scale_brightness(image, 1 + depth * ramp(height, width, angle))
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (3, 3), rng.uniform(0.3, 0.7))
    image += rng.uniform(1, 5) * rng.standard_normal(
        image.shape, dtype=np.float32
    )
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
