"""Objects of the built-in data: their masks and how they are painted."""

from __future__ import annotations

import math

import cv2
import numpy as np

from mmdet_owp.partitions import SHAPES_BASE, SHAPES_NOVEL
from mmdet_owp.shapes.outlines import OUTLINES
from mmdet_owp.shapes.textures import (
    Generator,
    blend,
    draw_texture,
    ramp,
    scale_brightness,
)

# Category id -> name.
FAMILIES = {**SHAPES_BASE, **SHAPES_NOVEL}

_SUPERSAMPLE = 3
_TEXTURE_TRIES = 5
# Mean absolute difference to the covered pixels, in gray levels, below which
# the texture is drawn again: the outline would be invisible.
_MIN_CONTRAST = 45


def draw_alpha(rng: Generator, family: str, side: float) -> np.ndarray:
    """Draw the coverage of one object, rotated and stretched at random.

    Args:
        rng (np.random.Generator): source of all randomness.
        family (str): name in ``FAMILIES``.
        side (float): longest side of the outline's box, in pixels.

    Returns:
        np.ndarray: float32 in [0, 1], a patch just larger than the object.
    """
    solids, holes = OUTLINES[family](rng)
    angle = rng.uniform(0, 2 * math.pi)
    stretch = np.diag([math.exp(rng.uniform(-0.6, 0.6)), 1.0])
    mirror = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    cos, sin = math.cos(angle), math.sin(angle)
    transform = np.array([[cos, -sin], [sin, cos]]) @ stretch @ mirror
    solids = [points @ transform.T for points in solids]
    holes = [points @ transform.T for points in holes]
    corners = np.concatenate(solids)
    low, extent = corners.min(axis=0), np.ptp(corners, axis=0)
    scale = side / extent.max()
    # A random sub-pixel offset; the patch has half a pixel of margin for it.
    offset = rng.uniform(0, 1, 2)
    width, height = np.ceil(extent * scale).astype(int) + 1
    canvas = np.zeros((height * _SUPERSAMPLE, width * _SUPERSAMPLE), np.uint8)
    for polygons, value in ((solids, 255), (holes, 0)):
        for points in polygons:
            fine = ((points - low) * scale + offset) * _SUPERSAMPLE - 0.5
            fixed_point = np.round(fine * 16).astype(np.int32)
            cv2.fillPoly(canvas, [fixed_point], value, shift=4)
    canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return canvas.astype(np.float32) / 255


def paint_object(
    rng: Generator,
    palette: np.ndarray,
    image: np.ndarray,
    alpha: np.ndarray,
    x: int,
    y: int,
) -> None:
    """Paint one object with shadow, texture and shading, in place."""
    height, width = alpha.shape
    if rng.random() < 0.7:
        _cast_shadow(rng, image, alpha, x, y)
    covered = image[y : y + height, x : x + width]
    texture = _contrasting_texture(rng, palette, covered, alpha)
    _shade(rng, texture, alpha)
    blend(covered, texture, alpha)


def _cast_shadow(
    rng: Generator, image: np.ndarray, alpha: np.ndarray, x: int, y: int
) -> None:
    """Darken the image beside an object, in place."""
    height, width = alpha.shape
    dy, dx = rng.integers(1, 4, 2) * rng.choice([-1, 1], 2)
    # A margin of 3 pixels on each side for shadows that leave the image.
    shadow = np.zeros((image.shape[0] + 6, image.shape[1] + 6), np.float32)
    shadow[y + dy + 3 :, x + dx + 3 :][:height, :width] = alpha
    shadow = cv2.blur(shadow, (5, 5))[3:-3, 3:-3]
    scale_brightness(image, 1 - rng.uniform(0.2, 0.5) * shadow)


def _contrasting_texture(
    rng: Generator, palette: np.ndarray, covered: np.ndarray, alpha: np.ndarray
) -> np.ndarray:
    """Draw a texture that differs from the pixels that it will cover."""
    mask = (alpha >= 0.5).astype(np.uint8)
    best, best_contrast = None, -1.0
    for _ in range(_TEXTURE_TRIES):
        texture = draw_texture(rng, palette, *alpha.shape)
        difference = cv2.norm(texture, covered, cv2.NORM_L1, mask)
        contrast = difference / (3 * np.count_nonzero(mask))
        if contrast > best_contrast:
            best, best_contrast = texture, contrast
        if contrast >= _MIN_CONTRAST:
            break
    return best


def _shade(rng: Generator, texture: np.ndarray, alpha: np.ndarray) -> None:
    """Shade a texture and bevel the object's edge, in place.

    The edge is brighter toward the light and darker away from it. An edge
    that changes its contrast is visible and does not bound an area of one
    color.
    """
    angle, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0.4, 0.7)
    light = 1 + depth * ramp(alpha.shape[0], alpha.shape[1], angle)
    soft = cv2.blur(alpha, (3, 3), borderType=cv2.BORDER_CONSTANT)
    soft = np.pad(soft, 1)
    slope = (soft[1:-1, 2:] - soft[1:-1, :-2]) * math.cos(angle) + (
        soft[2:, 1:-1] - soft[:-2, 1:-1]
    ) * math.sin(angle)
    light = np.maximum(light - rng.uniform(1.2, 2.2) * slope, 0.2)
    scale_brightness(texture, light)
