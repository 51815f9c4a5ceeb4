"""Pictures of what a proposer finds and of what trains it, on arrays.

Colours are the same everywhere: green found, red missed.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from mmdet.evaluation import bbox_overlaps

FOUND, MISSED, OTHER = '#22dd44', '#ff3030', '#ffffff'


def is_found(objects: np.ndarray, proposals: np.ndarray,
             iou_thr: float = 0.5) -> np.ndarray:
    """Tell which objects overlap one of the proposals enough.

    Args:
        objects (ndarray): (num_objects, 4) as (x1, y1, x2, y2) in pixels.
        proposals (ndarray): (num_proposals, 4) likewise, cut at k.
        iou_thr (float): smallest IoU.

    Returns:
        ndarray: (num_objects, ) bool.
    """
    return (bbox_overlaps(objects, proposals) >= iou_thr).any(1)


def draw_found_and_missed(ax: Axes, image: np.ndarray, objects: np.ndarray,
                          proposals: np.ndarray,
                          others: np.ndarray) -> tuple[int, int]:
    """Draw objects in green if a proposal finds them (IoU 0.5), else in red.

    Args:
        ax (Axes): where to draw.
        image (ndarray): (H, W, 3) uint8, RGB.
        objects (ndarray): (n, 4) boxes (x1, y1, x2, y2) in pixels, the ones
            looked for.
        proposals (ndarray): (k, 4) likewise.
        others (ndarray): (m, 4) objects of the other classes, dotted white.

    Returns:
        tuple[int, int]: how many are found, and how many there are.
    """
    ax.imshow(image)
    ax.set_axis_off()
    found = is_found(objects, proposals)
    for box in others:
        _rectangle(ax, box, OTHER, linestyle=':', linewidth=0.8)
    for box, hit in zip(objects, found):
        _rectangle(ax, box, FOUND if hit else MISSED, linewidth=1.4)
    return int(found.sum()), len(objects)


def draw_heat_map(ax: Axes, image: np.ndarray, heat: np.ndarray) -> None:
    """Draw an objectness map over a pale image.

    Args:
        ax (Axes): where to draw.
        image (ndarray): (H, W, 3) uint8, RGB.
        heat (ndarray): (H, W) objectness in [0, 1].
    """
    gray = image.mean(-1)
    ax.imshow(gray, cmap='gray', vmin=-100, vmax=355)
    ax.imshow(heat, cmap='inferno', vmin=0, vmax=1, alpha=0.65)
    ax.set_axis_off()


def draw_locations(ax: Axes, image: np.ndarray, boxes: np.ndarray,
                   regression: np.ndarray, hard: np.ndarray) -> None:
    """Draw what trains a head, as the paper's Fig. 3 does.

    Args:
        ax (Axes): where to draw.
        image (ndarray): (H, W, 3) uint8, RGB.
        boxes (ndarray): (n, 4) ground truth (x1, y1, x2, y2) in pixels.
        regression (ndarray): (p, 2) locations (x, y) in pixels that train
            the regression, and with it the cue: red points.
        hard (ndarray): (q, 2) locations that train the cue alone: blue
            crosses.
    """
    ax.imshow(image)
    ax.set_axis_off()
    for box in boxes:
        _rectangle(ax, box, '#ffdd33', linewidth=1.2)
    ax.plot(*hard.T, 'x', color='#33aaff', markersize=3, markeredgewidth=0.9)
    ax.plot(*regression.T, '.', color='#ff3030', markersize=4)


def _rectangle(ax: Axes, box: Sequence[float], color: str, **kwargs) -> None:
    x1, y1, x2, y2 = box
    ax.add_patch(
        Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color,
                  **kwargs))
