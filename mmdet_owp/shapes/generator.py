"""The built-in data: outlined shapes in clutter, in COCO format.

A small stand-in for the real task that needs no download. Every image has a
textured background, distractors (texture without a closed crisp outline) and
objects of the 22 families of ``mmdet_owp.partitions``. Base and novel objects
share one distribution of colour, texture, size, place, shading and number;
only the outline tells them apart, and all of them are annotated: it is the
data set class that hides the novel ones from training.

Boxes are modal: the smallest box around the *visible* pixels of an object.

Needs numpy and OpenCV only, so that data are made without loading torch.

Example:
    >>> image, objects = draw_image(np.random.default_rng(0), size=64)
    >>> image.shape, image.dtype
    ((64, 64, 3), dtype('uint8'))
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mmdet_owp.partitions import SHAPES_BASE, SHAPES_NOVEL
from mmdet_owp.shapes.lvis import to_lvis

STYLES = ('coco', 'lvis')
# Data of another version are another draw: raise it when pixels change.
VERSION = 2
DESCRIPTION = 'mmdet_owp shapes'
FAMILIES = {**SHAPES_BASE, **SHAPES_NOVEL}

MIN_SIZE = 48  # image side, pixels
MIN_SIDE = 8  # longest side of a visible box, pixels
MIN_AREA = 20  # visible pixels of an object
MIN_VISIBLE = 0.5  # visible fraction of an object's mask
# Side of the largest object, as a fraction of the image side.
MAX_SIDE = 0.9

_SUPERSAMPLE = 3
_PLACE_TRIES = 10
_TEXTURE_TRIES = 5
# Mean absolute difference to what an object covers, in grey levels, below
# which its texture is drawn again: nobody could see its outline.
_MIN_CONTRAST = 45

Generator = np.random.Generator
# Filled polygons and holes cut from them, each (n, 2), y down, any scale.
Outline = tuple[list[np.ndarray], list[np.ndarray]]


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


# Outlines ------------------------------------------------------------------


def _arc(
    radius: float | np.ndarray, start: float, stop: float, num: int
) -> np.ndarray:
    """Points at ``num`` angles; ``radius`` may hold one value an angle."""
    angle = np.linspace(start, stop, num)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _circle(radius: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    return _arc(radius, 0, 2 * math.pi, 41)[:-1] + (x, y)


def _polygon(*points: tuple[float, float]) -> Outline:
    return [np.array(points, dtype=float)], []


def _rectangle(rng: Generator) -> Outline:
    return _polygon((-1, -0.8), (1, -0.8), (1, 0.8), (-1, 0.8))


def _ellipse(rng: Generator) -> Outline:
    return [_circle(1)], []


def _triangle(rng: Generator) -> Outline:
    return _polygon((-1, 0.9), (1, 0.9), (rng.uniform(-0.4, 0.4), -0.9))


def _ring(rng: Generator) -> Outline:
    return [_circle(1)], [_circle(rng.uniform(0.45, 0.62))]


def _cross(rng: Generator) -> Outline:
    w = rng.uniform(0.24, 0.38)
    return _polygon(
        (-w, -1),
        (w, -1),
        (w, -w),
        (1, -w),
        (1, w),
        (w, w),
        (w, 1),
        (-w, 1),
        (-w, w),
        (-1, w),
        (-1, -w),
        (-w, -w),
    )


def _star(rng: Generator) -> Outline:
    n = int(rng.integers(5, 7))
    radius = np.where(np.arange(2 * n) % 2, rng.uniform(0.4, 0.5), 1.0)
    return [_arc(radius, 0, 2 * math.pi * (1 - 0.5 / n), 2 * n)], []


def _crescent(rng: Generator) -> Outline:
    # The inner arc is a circle's around (shift, 0) through the two horns.
    horn = rng.uniform(0.6, 1.0)
    shift = rng.uniform(0.35, 0.55)
    dx, dy = math.cos(horn) - shift, math.sin(horn)
    inner_horn = math.atan2(dy, dx)
    outer = _arc(1.0, horn, 2 * math.pi - horn, 30)
    inner = _arc(math.hypot(dx, dy), 2 * math.pi - inner_horn, inner_horn, 24)
    return [np.concatenate([outer, inner + (shift, 0)])], []


def _hexagon(rng: Generator) -> Outline:
    return [_arc(1.0, 0, 2 * math.pi, 7)[:-1]], []


def _arrow(rng: Generator) -> Outline:
    w, neck = rng.uniform(0.16, 0.28), rng.uniform(-0.1, 0.25)
    return _polygon(
        (-1, -w),
        (neck, -w),
        (neck, -0.7),
        (1, 0),
        (neck, 0.7),
        (neck, w),
        (-1, w),
    )


def _heart(rng: Generator) -> Outline:
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(
        13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    )
    return [np.stack([x, y], axis=1)], []


def _gear(rng: Generator) -> Outline:
    n = int(rng.integers(7, 10))
    radius = np.tile([1.0, 1.0, 0.68, 0.68], n)
    points = _arc(radius, 0, 2 * math.pi * (1 - 0.25 / n), 4 * n)
    return [points], [_circle(rng.uniform(0.22, 0.34))]


def _l_shape(rng: Generator) -> Outline:
    w, foot = rng.uniform(0.45, 0.65), rng.uniform(0.3, 0.8)
    return _polygon(
        (-0.8, -1),
        (-0.8 + w, -1),
        (-0.8 + w, 1 - w),
        (foot, 1 - w),
        (foot, 1),
        (-0.8, 1),
    )


def _lightning(rng: Generator) -> Outline:
    k = rng.uniform(-0.06, 0.06)
    return _polygon(
        (-0.1, -1),
        (0.5, -1),
        (0.2 + k, -0.3),
        (0.6, -0.3),
        (-0.35, 1),
        (-0.08 + k, 0.02),
        (-0.5, 0.02),
    )


def _flower(rng: Generator) -> Outline:
    n = int(rng.integers(5, 8))
    angle = np.linspace(0, 2 * math.pi, 73)[:-1]
    radius = 0.42 + 0.58 * np.abs(np.cos(n * angle / 2)) ** 0.7
    return [_arc(radius, 0, 2 * math.pi * 71 / 72, 72)], []


def _drop(rng: Generator) -> Outline:
    t = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    x = np.sin(t) * np.sin(t / 2) ** rng.uniform(1.5, 2.2)
    return [np.stack([0.8 * x, -np.cos(t)], axis=1)], []


def _horseshoe(rng: Generator) -> Outline:
    inner, leg = rng.uniform(0.45, 0.58), rng.uniform(0.5, 0.9)
    outer_arc = _arc(1.0, math.pi, 2 * math.pi, 24)
    inner_arc = _arc(inner, 2 * math.pi, math.pi, 20)
    return [
        np.concatenate(
            [
                [(-1, leg)],
                outer_arc,
                [(1, leg), (inner, leg)],
                inner_arc,
                [(-inner, leg)],
            ]
        )
    ], []


def _bar(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=float)


def _key(rng: Generator) -> Outline:
    w = rng.uniform(0.13, 0.18)
    tooth = rng.uniform(0.3, 0.45)
    return [
        _circle(0.55, -0.75),
        _bar(-0.4, -w, 1.3, w),
        _bar(1.05, 0, 1.3, tooth + w),
        _bar(0.55, 0, 0.8, tooth + w),
    ], [_circle(0.27, -0.8)]


def _bone(rng: Generator) -> Outline:
    w, knob = rng.uniform(0.18, 0.26), rng.uniform(0.3, 0.38)
    knobs = [_circle(knob, x, y) for x in (-0.9, 0.9) for y in (-0.27, 0.27)]
    return [_bar(-0.9, -w, 0.9, w), *knobs], []


def _fish(rng: Generator) -> Outline:
    body = _circle(1, -0.25) * (0.75, rng.uniform(0.4, 0.55))
    tail = np.array([(0.25, 0), (1.0, -0.5), (0.8, 0), (1.0, 0.5)])
    return [body, tail], []


def _hourglass(rng: Generator) -> Outline:
    w = rng.uniform(0.1, 0.2)
    return _polygon(
        (-0.75, -1), (0.75, -1), (w, 0), (0.75, 1), (-0.75, 1), (-w, 0)
    )


def _spiral(rng: Generator) -> Outline:
    turns = rng.uniform(1.6, 2.0)
    growth = np.linspace(0.12, 1.0, 60)
    # Half the distance between two turns is band, half is gap.
    half = 0.26 / turns
    stop = 2 * math.pi * turns
    outer = _arc(growth + half, 0, stop, 60)
    inner = _arc(np.maximum(growth - half, 0), 0, stop, 60)
    return [np.concatenate([outer, inner[::-1]])], []


def _pinwheel(rng: Generator) -> Outline:
    n = int(rng.integers(3, 6))
    ramp = np.linspace(rng.uniform(0.18, 0.28), 1, 8)
    angle = (
        (np.arange(n)[:, None] + np.linspace(0, 0.999, 8)) * 2 * math.pi / n
    )
    points = np.stack([ramp * np.cos(angle), ramp * np.sin(angle)], axis=-1)
    return [points.reshape(-1, 2)], []


OUTLINES: dict[str, Callable[[Generator], Outline]] = {
    'rectangle': _rectangle,
    'ellipse': _ellipse,
    'triangle': _triangle,
    'ring': _ring,
    'cross': _cross,
    'star': _star,
    'crescent': _crescent,
    'hexagon': _hexagon,
    'arrow': _arrow,
    'heart': _heart,
    'gear': _gear,
    'l-shape': _l_shape,
    'lightning': _lightning,
    'flower': _flower,
    'drop': _drop,
    'horseshoe': _horseshoe,
    'key': _key,
    'bone': _bone,
    'fish': _fish,
    'hourglass': _hourglass,
    'spiral': _spiral,
    'pinwheel': _pinwheel,
}


def draw_alpha(rng: Generator, family: str, side: float) -> np.ndarray:
    """Draw one object's coverage, turned and stretched at random.

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
    turn = np.array([[cos, -sin], [sin, cos]]) @ stretch @ mirror
    solids = [points @ turn.T for points in solids]
    holes = [points @ turn.T for points in holes]
    corners = np.concatenate(solids)
    low, extent = corners.min(axis=0), np.ptp(corners, axis=0)
    scale = side / extent.max()
    # Half a pixel of room each side takes a random sub-pixel offset.
    offset = rng.uniform(0, 1, 2)
    width, height = np.ceil(extent * scale).astype(int) + 1
    canvas = np.zeros((height * _SUPERSAMPLE, width * _SUPERSAMPLE), np.uint8)
    for polygons, value in ((solids, 255), (holes, 0)):
        for points in polygons:
            fine = ((points - low) * scale + offset) * _SUPERSAMPLE - 0.5
            cv2.fillPoly(
                canvas, [np.round(fine * 16).astype(np.int32)], value, shift=4
            )
    canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return canvas.astype(np.float32) / 255


# Textures ------------------------------------------------------------------


def _noise(
    rng: Generator, height: int, width: int, finest: float, coarsest: float
) -> np.ndarray:
    """Sum of smooth noise at octaves of cell size; about [-1, 1]."""
    total = np.zeros((height, width), np.float32)
    cell, weight = coarsest, 0.0
    while cell >= finest:
        rows, columns = int(height / cell) + 2, int(width / cell) + 2
        grid = rng.random((rows, columns), dtype=np.float32) * 2 - 1
        gain = math.sqrt(cell)
        total += gain * cv2.resize(
            grid, (width, height), interpolation=cv2.INTER_LINEAR
        )
        weight += gain**2
        cell /= 2
    return total * (1.4 / math.sqrt(weight))


def _pattern(rng: Generator, height: int, width: int) -> np.ndarray:
    """A texture in one channel, about [0, 1], as often light as dark."""
    kind = rng.choice(
        ['flat', 'noise', 'stripes', 'checker', 'dots', 'gradient'],
        p=[0.03, 0.25, 0.25, 0.21, 0.21, 0.05],
    )
    if kind == 'noise':
        finest = rng.uniform(1.5, 3)
        field = _noise(
            rng, height, width, finest, finest * rng.choice([2, 4, 8])
        )
        return np.clip(0.5 + rng.uniform(1, 2.5) * field, 0, 1)
    if kind == 'flat':
        return np.clip(
            rng.random() + 0.4 * _noise(rng, height, width, 1.5, 6), 0, 1
        )
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.ogrid[:height, :width]
    y, x = y.astype(np.float32), x.astype(np.float32)
    u = x * math.cos(angle) + y * math.sin(angle)
    if kind == 'gradient':
        u = (u - u.min()) / max(float(np.ptp(u)), 1.0)
        return np.clip(u + 0.3 * _noise(rng, height, width, 1.5, 6), 0, 1)
    v = y * math.cos(angle) - x * math.sin(angle)
    period = math.exp(rng.uniform(math.log(3.5), math.log(12)))
    # Bent by smooth noise: nothing in the world is ruled with a ruler.
    bend = rng.uniform(0, 2.5) * _noise(rng, height, width, 12, 24)
    turn = 2 * math.pi / period
    u = np.sin(u * turn + bend + rng.uniform(0, 6.3))
    if kind == 'stripes':
        wave = u
    else:
        v = np.sin(v * turn + bend + rng.uniform(0, 6.3))
        wave = u * v * 2 if kind == 'checker' else u + v - 0.4
    return np.clip(0.5 + rng.uniform(0.8, 2) * wave, 0, 1)


def _palette(rng: Generator) -> np.ndarray:
    """The colours of one image, BGR in grey levels, (3 or 4, 3).

    Background, distractors and objects share them: like colour does not mean
    one object.
    """
    number = int(rng.integers(3, 5))
    colours = rng.uniform(30, 225, 3) + rng.normal(0, 35, (number, 3))
    # Evenly spaced in brightness, so that no two textures are all alike.
    light = rng.permutation(np.linspace(-80, 80, number))
    return np.clip(colours + light[:, None], 15, 240)


def _texture(
    rng: Generator, palette: np.ndarray, height: int, width: int
) -> np.ndarray:
    """A texture of two colours, BGR, float32 (height, width, 3)."""
    first, second = rng.permutation(palette)[:2] + rng.normal(0, 10, (2, 3))
    pattern = _pattern(rng, height, width)
    # first + pattern * (second - first), without numpy's slow inner loop of 3.
    return cv2.transform(pattern, np.stack([second - first, first], axis=1))


def _blend(image: np.ndarray, texture: np.ndarray, alpha: np.ndarray) -> None:
    """Paint ``texture`` over ``image`` in place; alpha is (h, w)."""
    image[:] = cv2.blendLinear(texture, image, alpha, 1 - alpha)


def _plain(
    rng: Generator, palette: np.ndarray, height: int, width: int
) -> np.ndarray:
    """One colour, in the form of a texture."""
    colour = rng.choice(palette) + rng.normal(0, 10, 3)
    return np.full((height, width, 3), colour, np.float32)


def _dim(image: np.ndarray, factor: np.ndarray) -> None:
    """Multiply all channels by a factor, (h, w), in place."""
    image *= cv2.merge([factor] * 3)


# Scene ---------------------------------------------------------------------


def _background(rng: Generator, palette: np.ndarray, size: int) -> np.ndarray:
    """Texture under soft-edged blotches of other textures."""
    image = _texture(rng, palette, size, size)
    for _ in range(rng.integers(1, 4)):
        field = _noise(rng, size, size, size / 8, size / 2)
        # The ramp is wide: a blotch has no crisp edge.
        alpha = np.clip((field - rng.uniform(-0.2, 0.4)) * 2.5, 0, 1)
        _blend(image, _texture(rng, palette, size, size), alpha)
    return image


def _open_curve(rng: Generator, size: int) -> np.ndarray:
    """A random walk that bends smoothly, int32 (n, 1, 2), 1/16 pixels."""
    num = int(rng.integers(6, 24))
    step = rng.uniform(2.5, 7)
    heading = rng.uniform(0, 6.3) + np.cumsum(rng.normal(0, 0.5, num))
    steps = step * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    points = rng.uniform(0, size, 2) + np.cumsum(steps, axis=0)
    return np.round(points * 16).astype(np.int32)[:, None]


def _add_distractors(
    rng: Generator, palette: np.ndarray, image: np.ndarray
) -> None:
    """Paint, in place, texture that is no object.

    Lines, bundles of lines, grids and scribbles are crisp but enclose
    nothing; patches of texture and blobs enclose something but have no crisp
    edge.
    """
    size = len(image)
    for _ in range(rng.integers(3, 8)):
        kind = rng.choice(['lines', 'scribble', 'grid', 'patch', 'blob'])
        if kind in ('patch', 'blob'):
            radius = math.exp(rng.uniform(math.log(5), math.log(size / 3)))
            centre = rng.uniform(0, size, 2)
            axes = radius * np.exp(rng.uniform(-0.4, 0.4, 2))
            # At twice the radius, where it is cut, nothing is left to see.
            x0, y0 = np.maximum(centre - 2 * axes, 0).astype(int)
            x1, y1 = np.minimum(centre + 2 * axes + 1, size).astype(int)
            y, x = np.ogrid[y0:y1, x0:x1]
            distance = ((x - centre[0]) / axes[0]) ** 2 + (
                (y - centre[1]) / axes[1]
            ) ** 2
            alpha = np.exp(-distance * 1.5).astype(np.float32)
            if kind == 'patch':
                paint = _texture(rng, palette, y1 - y0, x1 - x0)
            else:
                paint = _plain(rng, palette, y1 - y0, x1 - x0)
                alpha *= rng.uniform(0.5, 1)
            _blend(image[y0:y1, x0:x1], paint, alpha)
            continue
        drawn = np.zeros((size, size), np.uint8)
        thickness = int(rng.integers(1, 3))
        if kind == 'scribble':
            curves = [_open_curve(rng, size)]
            for _ in range(rng.integers(0, 3)):
                curves.append(curves[0] + rng.integers(-160, 160, 2))
            cv2.polylines(
                drawn,
                [c.astype(np.int32) for c in curves],
                False,
                255,
                thickness,
                cv2.LINE_AA,
                4,
            )
        else:
            angles = [rng.uniform(0, math.pi)]
            if kind == 'grid':
                angles.append(angles[0] + math.pi / 2)
            start = rng.uniform(0, size, 2)
            half = rng.uniform(0.1, 0.6) * size
            gap = rng.uniform(4, 14)
            number = int(rng.integers(1, 5))
            for angle in angles:
                along = np.array([math.cos(angle), math.sin(angle)])
                across = np.array([-along[1], along[0]])
                for k in range(number):
                    middle = start + (k - (number - 1) / 2) * gap * across
                    # Ends that don't line up: no corner closes.
                    ends = middle + np.outer(
                        half * rng.uniform(-1, 1) + half * np.array([-1, 1]),
                        along,
                    )
                    cv2.polylines(
                        drawn,
                        [np.round(ends * 16).astype(np.int32)],
                        False,
                        255,
                        thickness,
                        cv2.LINE_AA,
                        4,
                    )
        alpha = drawn.astype(np.float32) * (rng.uniform(0.5, 1) / 255)
        _blend(image, _plain(rng, palette, size, size), alpha)


def _paint_object(
    rng: Generator,
    palette: np.ndarray,
    image: np.ndarray,
    alpha: np.ndarray,
    x: int,
    y: int,
) -> None:
    """Paint one object with shadow, texture, shading and rim, in place."""
    height, width = alpha.shape
    if rng.random() < 0.7:
        dy, dx = rng.integers(1, 4, 2) * rng.choice([-1, 1], 2)
        # Room of 3 pixels on each side for a shadow that leaves the image.
        shadow = np.zeros((image.shape[0] + 6, image.shape[1] + 6), np.float32)
        shadow[y + dy + 3 :, x + dx + 3 :][:height, :width] = alpha
        shadow = cv2.blur(shadow, (5, 5))[3:-3, 3:-3]
        _dim(image, 1 - rng.uniform(0.2, 0.5) * shadow)
    under = image[y : y + height, x : x + width]
    mask = (alpha >= 0.5).astype(np.uint8)
    best, best_contrast = None, -1.0
    for _ in range(_TEXTURE_TRIES):
        texture = _texture(rng, palette, height, width)
        contrast = cv2.norm(texture, under, cv2.NORM_L1, mask) / (
            3 * np.count_nonzero(mask)
        )
        if contrast > best_contrast:
            best, best_contrast = texture, contrast
        if contrast >= _MIN_CONTRAST:
            break
    # Light falls off across the object, and its edge is bevelled: brighter
    # toward the light, darker away from it. An edge that changes sides is
    # plain to see, and is no region of one colour.
    angle, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0.4, 0.7)
    light = 1 + depth * (
        np.linspace(-1, 1, width, dtype=np.float32) * math.cos(angle)
        + np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        * math.sin(angle)
    )
    soft = cv2.copyMakeBorder(
        cv2.blur(alpha, (3, 3), borderType=cv2.BORDER_CONSTANT),
        1,
        1,
        1,
        1,
        cv2.BORDER_CONSTANT,
    )
    slope = (soft[1:-1, 2:] - soft[1:-1, :-2]) * math.cos(angle) + (
        soft[2:, 1:-1] - soft[:-2, 1:-1]
    ) * math.sin(angle)
    light = np.maximum(light - rng.uniform(1.2, 2.2) * slope, 0.2)
    _dim(best, light)
    _blend(under, best, alpha)


def _number_of_objects(rng: Generator) -> int:
    """0 or 1 in a tenth of the images, else 4 to 10."""
    if rng.random() < 0.1:
        return int(rng.integers(0, 2))
    return int(rng.integers(4, 11))


def _stays_visible(
    owner: np.ndarray, index: int, full_area: int, covered: np.ndarray
) -> bool:
    """Whether object ``index`` is still worth annotating when covered."""
    visible = (owner == index) & ~covered
    area = np.count_nonzero(visible)
    if area < max(MIN_AREA, MIN_VISIBLE * full_area):
        return False
    return max(_tight_box(visible)[2:]) >= MIN_SIDE


def _tight_box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """X, y, width, height of the true pixels, of which there is one."""
    return tuple(float(v) for v in cv2.boundingRect(mask.astype(np.uint8)))


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
    palette = _palette(rng)
    image = _background(rng, palette, size)
    _add_distractors(rng, palette, image)
    # Which object a pixel shows, -1 for none.
    owner = np.full((size, size), -1, np.int16)
    category_ids, full_areas = [], []
    for _ in range(_number_of_objects(rng)):
        # A fair coin, then a family: as many novel as base objects.
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
        height, width = mask.shape
        area = np.count_nonzero(mask)
        if area < MIN_AREA or max(_tight_box(mask)[2:]) < MIN_SIDE:
            continue
        for _ in range(_PLACE_TRIES):
            x = int(rng.integers(0, size - width + 1))
            y = int(rng.integers(0, size - height + 1))
            window = owner[y : y + height, x : x + width]
            hidden = np.unique(window[mask])
            covered = np.zeros((size, size), bool)
            covered[y : y + height, x : x + width] = mask
            if all(
                _stays_visible(owner, i, full_areas[i], covered)
                for i in hidden
                if i >= 0
            ):
                _paint_object(rng, palette, image, alpha, x, y)
                window[mask] = len(category_ids)
                category_ids.append(category_id)
                full_areas.append(area)
                break

    # Light over the scene, a mild blur and the camera's noise.
    angle, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.3)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    _dim(
        image,
        1 + depth * (ramp * math.cos(angle) + ramp[:, None] * math.sin(angle)),
    )
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (3, 3), rng.uniform(0.3, 0.7))
    image += rng.uniform(1, 5) * rng.standard_normal(
        image.shape, dtype=np.float32
    )
    image = np.clip(np.round(image), 0, 255).astype(np.uint8)

    objects = []
    for index, category_id in enumerate(category_ids):
        visible = owner == index
        objects.append(ShapeObject(category_id, _tight_box(visible), visible))
    return image, objects


# Files ---------------------------------------------------------------------


def make_shapes(
    out: str | os.PathLike,
    seed: int = 0,
    num_train: int = 3500,
    num_val: int = 300,
    size: int = 128,
    style: str = 'coco',
    overwrite: bool = False,
    progress: Callable | None = None,
) -> bool:
    """Write a set in COCO format, unless it is already there.

    ``out/{train,val}/000000.png`` and
    ``out/annotations/instances_{train,val}.json``; in the format of LVIS v1
    ``out/{train,val}2017/000000.png`` and
    ``out/annotations/lvis_v1_{train,val}.json``, see
    :func:`mmdet_owp.shapes.lvis.to_lvis`. An image depends on seed,
    split, its number and ``size`` only, not on how many there are. The
    annotation files come last and appear at once, so that an interrupted call
    is recognised, and redone by the next.

    Args:
        out (str | Path): folder to write to; made where it is absent.
        seed (int): which draw, 0 or more. Default 0.
        num_train (int): number of training images. Default 3500.
        num_val (int): number of validation images. Default 300.
        size (int): side of the images, in pixels, 48 or more. Default 128.
        style (str): ``'coco'`` or ``'lvis'``. The pixels are the same.
        overwrite (bool): replace a set made with other arguments.
        progress (Callable | None): wraps the iterable of image numbers, e.g.
            ``tqdm``; called once a split.

    Returns:
        bool: False where the same set was already there.

    Raises:
        ValueError: for arguments out of range.
        FileExistsError: if ``out`` holds other data.
    """
    if seed < 0 or num_train < 1 or num_val < 1 or size < MIN_SIZE:
        raise ValueError(
            'seed must be at least 0, the numbers of images at least 1 and '
            f'size at least {MIN_SIZE}, not seed={seed}, train={num_train}, '
            f'val={num_val}, size={size}'
        )
    if style not in STYLES:
        raise ValueError(f'style must be one of {STYLES}, not {style!r}')
    out = Path(out)
    arguments = dict(
        version=VERSION,
        seed=seed,
        num_train=num_train,
        num_val=num_val,
        size=size,
    )
    numbers = dict(train=num_train, val=num_val)
    ann_name, folder_name = 'instances_{}.json', '{}'
    if style == 'lvis':
        ann_name, folder_name = 'lvis_v1_{}.json', '{}2017'
        arguments['style'] = style
    ann_files = {
        out / folder_name.format(split): out
        / 'annotations'
        / ann_name.format(split)
        for split in numbers
    }
    if _is_complete(ann_files, arguments, overwrite):
        return False

    # From here on the set is unfinished, and has to look it.
    for path in ann_files.values():
        path.unlink(missing_ok=True)
    waiting = {}
    for split_index, (folder, number) in enumerate(
        zip(ann_files, numbers.values())
    ):
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob('[0-9]*.png'):
            if path.stem.isdigit() and int(path.stem) >= number:
                path.unlink()  # of a longer set that this one replaces
        indices = range(number)
        drawn = (
            _write_image(folder, [seed, split_index, index], size)
            for index in (progress(indices) if progress else indices)
        )
        content = _to_coco(drawn, size)
        if style == 'lvis':
            content = to_lvis(content, folder.name)
        content['info'] = dict(description=DESCRIPTION, arguments=arguments)
        path = ann_files[folder].with_suffix('.json.tmp')
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
        waiting[path] = ann_files[folder]
    for temporary, final in waiting.items():
        os.replace(temporary, final)
    return True


def _is_complete(
    ann_files: dict[Path, Path], arguments: dict, overwrite: bool
) -> bool:
    """Whether this very set is there; raise where another one is.

    Args:
        ann_files (dict[Path, Path]): annotation file of each image folder.
        arguments (dict): what the set is made with.
        overwrite (bool): whether another set may be there.
    """
    complete = True
    for folder, path in ann_files.items():
        if not path.exists():
            complete = False
            continue
        try:
            content = json.loads(path.read_text())
            info = content['info']
            ours = info['description'] == DESCRIPTION
        except (ValueError, LookupError, TypeError):
            ours = False
        if not ours:
            raise FileExistsError(
                f'{path} was not made by this generator: choose another '
                'output folder'
            )
        if info['arguments'] != arguments:
            if not overwrite:
                raise FileExistsError(
                    f'{path} was made with {info["arguments"]}, not '
                    f'{arguments}: choose another output folder, or '
                    '--overwrite'
                )
            complete = False
            continue
        present = {p.name for p in folder.glob('*.png')}
        complete &= all(
            Path(i.get('file_name') or i['coco_url']).name in present
            for i in content['images']
        )
    return complete


def _write_image(
    folder: Path, seed: list[int], size: int
) -> tuple[str, list[ShapeObject]]:
    """Draw one image into ``folder``; return its file name and objects."""
    image, objects = draw_image(np.random.default_rng(seed), size)
    path = folder / f'{seed[-1]:06d}.png'
    # Level 1: files a tenth larger than at the default, thrice as fast.
    if not cv2.imwrite(str(path), image, [cv2.IMWRITE_PNG_COMPRESSION, 1]):
        raise OSError(f'{path} could not be written: is the disk full?')
    return path.name, objects


def _to_coco(drawn, size: int) -> dict:
    """Images, annotations (ids from 1) and categories of a COCO file."""
    images, annotations = [], []
    for image_id, (file_name, objects) in enumerate(drawn, start=1):
        images.append(
            dict(id=image_id, file_name=file_name, width=size, height=size)
        )
        for shape in objects:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=shape.category_id,
                    bbox=list(shape.bbox),
                    area=float(np.count_nonzero(shape.mask)),
                    iscrowd=0,
                )
            )
    categories = [
        dict(
            id=i,
            name=name,
            supercategory='base' if i in SHAPES_BASE else 'novel',
        )
        for i, name in sorted(FAMILIES.items())
    ]
    return dict(images=images, annotations=annotations, categories=categories)
