"""Formats and checks of boxes."""

from __future__ import annotations

import numpy as np


def corners_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Convert (x1, y1, x2, y2) to (x, y, width, height) in double precision.

    The conversion to double comes before the difference, as in mmdet's
    ``CocoMetric``.

    Args:
        boxes (np.ndarray): (n, 4).

    Returns:
        np.ndarray: (n, 4), float64.
    """
    boxes = np.array(boxes, float).reshape(-1, 4)
    boxes[:, 2:] -= boxes[:, :2]
    return boxes


def all_valid(boxes: np.ndarray) -> bool:
    """Whether all x, y, width, height are finite and no size is negative."""
    return bool(np.isfinite(boxes).all() and (boxes[:, 2:] >= 0).all())


def are_valid(boxes: np.ndarray) -> np.ndarray:
    """Return validity per box, (n,) bool; slower than :func:`all_valid`."""
    return np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] >= 0).all(axis=1)
