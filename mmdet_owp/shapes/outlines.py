"""Outlines of the 22 families of the built-in data.

An outline is a pair of lists: filled polygons, and holes cut from them. Each
polygon has shape (n, 2), y pointing down, in arbitrary units.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import List, Tuple

import numpy as np

Generator = np.random.Generator
# Evaluated by Python 3.8, which has no tuple[...].
Outline = Tuple[List[np.ndarray], List[np.ndarray]]  # noqa: UP006


def _arc(
    radius: float | np.ndarray, start: float, stop: float, num: int
) -> np.ndarray:
    """Sample ``num`` angles; ``radius`` may hold one value per angle."""
    angle = np.linspace(start, stop, num)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _circle(radius: float, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    return _arc(radius, 0, 2 * math.pi, 41)[:-1] + (x, y)


def _bar(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], dtype=float)


def _polygon(*points: tuple[float, float]) -> Outline:
    return [np.array(points, dtype=float)], []


def _rectangle(rng: Generator) -> Outline:
    return [_bar(-1, -0.8, 1, 0.8)], []


def _ellipse(rng: Generator) -> Outline:
    return [_circle(1)], []


def _triangle(rng: Generator) -> Outline:
    return _polygon((-1, 0.9), (1, 0.9), (rng.uniform(-0.4, 0.4), -0.9))


def _ring(rng: Generator) -> Outline:
    return [_circle(1)], [_circle(rng.uniform(0.45, 0.62))]


def _cross(rng: Generator) -> Outline:
    w = rng.uniform(0.24, 0.38)
    return _polygon(
        (-w, -1), (w, -1), (w, -w), (1, -w), (1, w), (w, w),
        (w, 1), (-w, 1), (-w, w), (-1, w), (-1, -w), (-w, -w),
    )  # fmt: skip


def _star(rng: Generator) -> Outline:
    n = int(rng.integers(5, 7))
    radius = np.where(np.arange(2 * n) % 2, rng.uniform(0.4, 0.5), 1.0)
    return [_arc(radius, 0, 2 * math.pi * (1 - 0.5 / n), 2 * n)], []


def _crescent(rng: Generator) -> Outline:
    # The inner arc belongs to a circle around (shift, 0) through both horns.
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
        (-1, -w), (neck, -w), (neck, -0.7), (1, 0),
        (neck, 0.7), (neck, w), (-1, w),
    )  # fmt: skip


def _heart(rng: Generator) -> Outline:
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return [np.stack([x, -y], axis=1)], []


def _gear(rng: Generator) -> Outline:
    n = int(rng.integers(7, 10))
    radius = np.tile([1.0, 1.0, 0.68, 0.68], n)
    points = _arc(radius, 0, 2 * math.pi * (1 - 0.25 / n), 4 * n)
    return [points], [_circle(rng.uniform(0.22, 0.34))]


def _l_shape(rng: Generator) -> Outline:
    w, foot = rng.uniform(0.45, 0.65), rng.uniform(0.3, 0.8)
    return _polygon(
        (-0.8, -1), (-0.8 + w, -1), (-0.8 + w, 1 - w),
        (foot, 1 - w), (foot, 1), (-0.8, 1),
    )  # fmt: skip


def _lightning(rng: Generator) -> Outline:
    k = rng.uniform(-0.06, 0.06)
    return _polygon(
        (-0.1, -1), (0.5, -1), (0.2 + k, -0.3), (0.6, -0.3),
        (-0.35, 1), (-0.08 + k, 0.02), (-0.5, 0.02),
    )  # fmt: skip


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
    return _polygon(
        (-1, leg), *outer_arc, (1, leg),
        (inner, leg), *inner_arc, (-inner, leg),
    )  # fmt: skip


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
    # Band and gap each take half of the distance between two turns.
    half = 0.26 / turns
    stop = 2 * math.pi * turns
    outer = _arc(growth + half, 0, stop, 60)
    inner = _arc(np.maximum(growth - half, 0), 0, stop, 60)
    return [np.concatenate([outer, inner[::-1]])], []


def _pinwheel(rng: Generator) -> Outline:
    n = int(rng.integers(3, 6))
    radius = np.linspace(rng.uniform(0.18, 0.28), 1, 8)
    turns = np.arange(n)[:, None] + np.linspace(0, 0.999, 8)
    angle = turns * 2 * math.pi / n
    points = np.stack(
        [radius * np.cos(angle), radius * np.sin(angle)], axis=-1
    )
    return [points.reshape(-1, 2)], []


# Family name -> function that draws its outline.
OUTLINES: dict[str, Callable[[Generator], Outline]] = {
    'rectangle': _rectangle, 'ellipse': _ellipse, 'triangle': _triangle,
    'ring': _ring, 'cross': _cross, 'star': _star, 'crescent': _crescent,
    'hexagon': _hexagon, 'arrow': _arrow, 'heart': _heart, 'gear': _gear,
    'l-shape': _l_shape, 'lightning': _lightning, 'flower': _flower,
    'drop': _drop, 'horseshoe': _horseshoe, 'key': _key, 'bone': _bone,
    'fish': _fish, 'hourglass': _hourglass, 'spiral': _spiral,
    'pinwheel': _pinwheel,
}  # fmt: skip
