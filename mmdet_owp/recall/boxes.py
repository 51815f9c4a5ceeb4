"""Formats and checks of boxes."""

from __future__ import annotations

import numpy as np


def corners_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Convert (x1, y1, x2, y2) to (x, y, width, height) in double precision.

    The conversion to double comes before the difference, as in mmdet's
    ``CocoMetric``.

    Args:
        boxes (np.ndarray): (n, 4).
    """
    boxes = np.array(boxes, float).reshape(-1, 4)
    boxes[:, 2:] -= boxes[:, :2]
    return boxes
