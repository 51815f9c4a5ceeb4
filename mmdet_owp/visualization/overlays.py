"""Draw boxes, heat maps and locations over an image, from plain arrays.

``ax`` is where to draw, ``image`` is (H, W, 3) uint8, RGB. Boxes are (n, 4) as
(x1, y1, x2, y2) in pixels of the image.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from mmdet.evaluation import bbox_overlaps

from mmdet_owp.visualization import style


def is_found(
    objects: np.ndarray, proposals: np.ndarray, iou_thr: float = 0.5
) -> np.ndarray:
    """Return which objects overlap a proposal by an IoU of ``iou_thr``."""
    return (bbox_overlaps(objects, proposals) >= iou_thr).any(1)


def draw_found_and_missed(
    ax: Axes,
    image: np.ndarray,
    objects: np.ndarray,
    proposals: np.ndarray,
    others: np.ndarray,
) -> tuple[int, int]:
    """Draw found objects (IoU 0.5) in solid green, missed in dashed orange.

    Objects of other classes, ``others``, are dotted in white.

    Returns:
        tuple[int, int]: number of objects found, and of all objects.
    """
    style.show_image(ax, image)
    found = is_found(objects, proposals)
    draw_boxes(ax, others, style.OTHER, linestyle=':', linewidth=0.8)
    draw_boxes(ax, objects[found], style.FOUND, linewidth=1.4)
    draw_boxes(
        ax, objects[~found], style.MISSED, linestyle='--', linewidth=1.4
    )
    return int(found.sum()), len(objects)


def draw_heat_map(ax: Axes, image: np.ndarray, heat: np.ndarray) -> AxesImage:
    """Draw an objectness map, (H, W) in [0, 1], over a pale image.

    Returns:
        AxesImage: the map, for a color bar.
    """
    style.show_image(ax, image.mean(-1), cmap='gray', vmin=-100, vmax=355)
    return ax.imshow(heat, cmap=style.HEAT, vmin=0, vmax=1, alpha=0.65)


def draw_masked(
    ax: Axes,
    image: np.ndarray,
    masked: np.ndarray,
    boxes: np.ndarray,
    unlabeled: np.ndarray,
) -> None:
    """Draw masked background, (H, W) bool, in blue, as Fig. 4 of the paper.

    ``boxes`` are the ground truth; unlabeled objects are dotted in white.
    """
    style.show_image(ax, image)
    blue = np.zeros((*masked.shape, 4))
    blue[masked] = to_rgba(style.AREA, 0.6)
    ax.imshow(blue)
    draw_boxes(ax, boxes, style.TRUTH)
    draw_boxes(ax, unlabeled, style.OTHER, linestyle=':')


def draw_locations(
    ax: Axes,
    image: np.ndarray,
    boxes: np.ndarray,
    regression: np.ndarray,
    hard: np.ndarray,
) -> None:
    """Draw training locations as in Fig. 3 of the paper.

    Args:
        ax (Axes): where to draw.
        image (ndarray): to draw on.
        boxes (ndarray): (n, 4) ground truth.
        regression (ndarray): (p, 2) locations (x, y) in pixels that train
            the regression and the cue, as orange points.
        hard (ndarray): (q, 2) locations that train the cue only, as blue
            crosses.
    """
    style.show_image(ax, image)
    draw_boxes(ax, boxes, style.TRUTH)
    ax.plot(
        *hard.T,
        'x',
        color=style.CROSSES,
        markersize=4,
        markeredgewidth=1.2,
        path_effects=style.outlined(1.2),
    )
    ax.plot(
        *regression.T,
        'o',
        color=style.POINTS,
        markersize=3,
        markeredgewidth=0.5,
        markeredgecolor='black',
    )


def draw_boxes(
    ax: Axes,
    boxes: np.ndarray,
    color: str,
    *,
    linewidth: float = 1.2,
    linestyle: str = '-',
) -> None:
    """Draw the outlines of boxes."""
    for x1, y1, x2, y2 in boxes:
        ax.add_patch(
            Rectangle(
                (x1, y1),
                x2 - x1,
                y2 - y1,
                fill=False,
                edgecolor=color,
                linewidth=linewidth,
                linestyle=linestyle,
                path_effects=style.outlined(linewidth),
            )
        )
