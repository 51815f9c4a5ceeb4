"""Textures of the built-in data, drawn in the colors of one palette.

Images are float32, (height, width, 3), BGR in gray levels of 0 to 255.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

Generator = np.random.Generator


def draw_palette(rng: Generator) -> np.ndarray:
    """Draw the colors of one image, shape (3, 3) or (4, 3).

    Background, distractors and objects share them, so that an area of one
    color is not necessarily one object.
    """
    num_colors = int(rng.integers(3, 5))
    colors = rng.uniform(30, 225, 3) + rng.normal(0, 35, (num_colors, 3))
    # Evenly spaced in brightness, so that any two textures differ.
    brightness = rng.permutation(np.linspace(-80, 80, num_colors))
    return np.clip(colors + brightness[:, None], 15, 240)


def draw_noise(
    rng: Generator, height: int, width: int, finest: float, coarsest: float
) -> np.ndarray:
    """Sum smooth noise over octaves of cell size; about [-1, 1]."""
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


def _draw_waves(
    rng: Generator, kind: str, u: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """Draw stripes, a checkerboard or dots along the axes ``u`` and ``v``."""
    period = math.exp(rng.uniform(math.log(3.5), math.log(12)))
    # Smooth noise bends the lines: natural patterns are not straight.
    bend = rng.uniform(0, 2.5) * draw_noise(
        rng, u.shape[0], u.shape[1], 12, 24
    )
    frequency = 2 * math.pi / period
    u = np.sin(u * frequency + bend + rng.uniform(0, 6.3))
    if kind == 'stripes':
        wave = u
    else:
        v = np.sin(v * frequency + bend + rng.uniform(0, 6.3))
        wave = u * v * 2 if kind == 'checker' else u + v - 0.4
    return np.clip(0.5 + rng.uniform(0.8, 2) * wave, 0, 1)


def _draw_pattern(rng: Generator, height: int, width: int) -> np.ndarray:
    """Draw one channel in [0, 1], equally often light and dark."""
    kind = rng.choice(
        ['flat', 'noise', 'stripes', 'checker', 'dots', 'gradient'],
        p=[0.03, 0.25, 0.25, 0.21, 0.21, 0.05],
    )
    if kind == 'noise':
        finest = rng.uniform(1.5, 3)
        coarsest = finest * rng.choice([2, 4, 8])
        noise = draw_noise(rng, height, width, finest, coarsest)
        return np.clip(0.5 + rng.uniform(1, 2.5) * noise, 0, 1)
    if kind == 'flat':
        level = rng.random()
        return np.clip(
            level + 0.4 * draw_noise(rng, height, width, 1.5, 6), 0, 1
        )
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.ogrid[:height, :width]
    y, x = y.astype(np.float32), x.astype(np.float32)
    u = x * math.cos(angle) + y * math.sin(angle)
    if kind == 'gradient':
        u = (u - u.min()) / max(float(np.ptp(u)), 1.0)
        return np.clip(u + 0.3 * draw_noise(rng, height, width, 1.5, 6), 0, 1)
    v = y * math.cos(angle) - x * math.sin(angle)
    return _draw_waves(rng, kind, u, v)


def draw_texture(
    rng: Generator, palette: np.ndarray, height: int, width: int
) -> np.ndarray:
    """Draw a texture of two colors of the palette."""
    first, second = rng.permutation(palette)[:2] + rng.normal(0, 10, (2, 3))
    pattern = _draw_pattern(rng, height, width)
    # first + pattern * (second - first), faster than numpy's broadcasting
    # over three channels.
    return cv2.transform(pattern, np.stack([second - first, first], axis=1))


def draw_plain(
    rng: Generator, palette: np.ndarray, height: int, width: int
) -> np.ndarray:
    """Draw an area of one color of the palette."""
    color = rng.choice(palette) + rng.normal(0, 10, 3)
    return np.full((height, width, 3), color, np.float32)


def blend(image: np.ndarray, texture: np.ndarray, alpha: np.ndarray) -> None:
    """Paint ``texture`` over ``image`` in place; ``alpha`` is (h, w)."""
    image[:] = cv2.blendLinear(texture, image, alpha, 1 - alpha)


def scale_brightness(image: np.ndarray, factor: np.ndarray) -> None:
    """Multiply all channels by ``factor``, (h, w), in place."""
    image *= cv2.merge([factor] * 3)


def ramp(height: int, width: int, angle: float) -> np.ndarray:
    """Return a linear ramp that rises in direction ``angle``, (h, w)."""
    x = np.linspace(-1, 1, width, dtype=np.float32)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    return x * math.cos(angle) + y * math.sin(angle)
