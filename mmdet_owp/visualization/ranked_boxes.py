"""Boxes drawn on an image by rank, fast: no matplotlib, no mmdet."""

from __future__ import annotations

import cv2
import mmcv
import numpy as np

# Below, lines and numbers would hide the image: it is enlarged.
SMALLEST_SIDE = 480
# More numbers than these would hide the image and each other.
NUM_SCORES = 10


def draw_ranked_boxes(
    image: np.ndarray, boxes: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """Draw boxes, the best in yellow, the worst in blue.

    The best lie on top, and the best ten are marked with their score. A small
    image is enlarged by a whole number, so that its longer side has at least
    480 pixels (an eightfold at most).

    Args:
        image (ndarray): (height, width, 3) uint8, BGR.
        boxes (ndarray): (n, 4) as (x1, y1, x2, y2) in pixels, best first.
        scores (ndarray): (n, ) in [0, 1].

    Returns:
        ndarray: the picture, uint8, BGR.
    """
    longer = max(image.shape[:2])
    times = int(np.clip(np.ceil(SMALLEST_SIDE / longer), 1, 8))
    picture = image.repeat(times, axis=0).repeat(times, axis=1)
    longer *= times
    thickness = max(2, round(longer / 320))
    ranks = np.linspace(240, 30, max(len(boxes), 1)).astype(np.uint8)
    colors = cv2.applyColorMap(ranks[:, None], cv2.COLORMAP_PLASMA)[:, 0]
    colors = [tuple(map(int, color)) for color in colors[: len(boxes)]][::-1]
    boxes = np.round(boxes * times)[::-1]
    # A dark rim sets each box off from any background.
    rim = [(0, 0, 0)] * len(boxes)
    for colors_of, width in ((rim, thickness + 2), (colors, thickness)):
        picture = mmcv.imshow_bboxes(
            picture,
            list(boxes[:, None]),
            colors_of,
            thickness=width,
            show=False,
        )
    size = 0.45 * longer / 480
    for box, score, color in list(zip(boxes, scores[::-1], colors))[
        -NUM_SCORES:
    ]:
        _write(
            picture,
            f'{score:.2f}'.lstrip('0'),
            tuple(map(int, box[:2])),
            size,
            color,
        )
    return picture


def _write(
    picture: np.ndarray,
    text: str,
    corner: tuple[int, int],
    size: float,
    color: tuple[int, int, int],
) -> None:
    """Write dark on a patch of the colour, inside the corner of a box."""
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(size))
    (width, height), below = cv2.getTextSize(text, font, size, thickness)
    left, top = corner
    bottom = top + height + below
    cv2.rectangle(picture, corner, (left + width, bottom), color, cv2.FILLED)
    ink = (0, 0, 0) if sum(color) > 300 else (255, 255, 255)
    cv2.putText(
        picture,
        text,
        (left, bottom - below // 2),
        font,
        size,
        ink,
        thickness,
        cv2.LINE_AA,
    )
