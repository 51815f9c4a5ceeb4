"""Draw boxes on images and videos, colored by rank; needs no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import mmcv
import numpy as np

# Smaller images are enlarged: lines and numbers would hide them.
MIN_LONGER_SIDE = 480
# More numbers would hide the image and each other.
NUM_SCORES = 10


def draw_ranked_boxes(
    image: np.ndarray, boxes: np.ndarray, scores: np.ndarray
) -> np.ndarray:
    """Draw boxes in colors from yellow (best) to blue (worst).

    The best boxes are on top, the best ten with their scores. A small image
    is enlarged by an integer factor, at most 8, so that its longer side has
    at least 480 pixels.

    Args:
        image (ndarray): (height, width, 3) uint8, BGR.
        boxes (ndarray): (n, 4) as (x1, y1, x2, y2) in pixels, best first.
        scores (ndarray): (n, ) in [0, 1].

    Returns:
        ndarray: the picture, uint8, BGR.
    """
    longer = max(image.shape[:2])
    factor = int(np.clip(np.ceil(MIN_LONGER_SIDE / longer), 1, 8))
    picture = image.repeat(factor, axis=0).repeat(factor, axis=1)
    longer *= factor
    thickness = max(2, round(longer / 320))
    ranks = np.linspace(240, 30, max(len(boxes), 1)).astype(np.uint8)
    colors = cv2.applyColorMap(ranks[:, None], cv2.COLORMAP_PLASMA)[:, 0]
    colors = [tuple(map(int, color)) for color in colors[: len(boxes)]][::-1]
    boxes = np.round(boxes * factor)[::-1]
    # A dark outline separates each box from the background.
    outline = [(0, 0, 0)] * len(boxes)
    for box_colors, width in ((outline, thickness + 2), (colors, thickness)):
        picture = mmcv.imshow_bboxes(
            picture,
            list(boxes[:, None]),
            box_colors,
            thickness=width,
            show=False,
        )
    size = 0.45 * longer / 480
    labeled = list(zip(boxes, scores[::-1], colors))[-NUM_SCORES:]
    for box, score, color in labeled:
        text = f'{score:.2f}'.lstrip('0')
        _write(picture, text, tuple(map(int, box[:2])), size, color)
    return picture


def _write(
    picture: np.ndarray,
    text: str,
    corner: tuple[int, ...],
    size: float,
    color: tuple[int, ...],
) -> None:
    """Write on a patch of the color, inside the top left corner of a box."""
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(size))
    (width, height), below = cv2.getTextSize(text, font, size, thickness)
    left, top = corner
    bottom = top + height + below
    cv2.rectangle(picture, corner, (left + width, bottom), color, cv2.FILLED)
    text_color = (0, 0, 0) if sum(color) > 300 else (255, 255, 255)
    cv2.putText(
        picture,
        text,
        (left, bottom - below // 2),
        font,
        size,
        text_color,
        thickness,
        cv2.LINE_AA,
    )


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture; its folder is created.

    Args:
        path (Path): ``.drawn.png`` is appended to a name that does not end in
            ``.jpg``, ``.jpeg`` or ``.png``.
        picture (ndarray): (height, width, 3) uint8, BGR.
    """
    if path.suffix.lower() not in ('.jpg', '.jpeg', '.png'):
        path = path.with_name(f'{path.name}.drawn.png')
    mmcv.imwrite(picture, str(path))


def write_video(
    path: Path, pictures: Iterable[np.ndarray], fps: float
) -> None:
    """Write pictures as a video; the file appears once it is complete.

    Args:
        path (Path): of the ``.mp4`` file; its folder is created.
        pictures (Iterable[ndarray]): (height, width, 3) uint8, BGR.
        fps (float): pictures per second.
    """
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name('unfinished.mp4')
    codec, writer = cv2.VideoWriter_fourcc(*'mp4v'), None
    for picture in pictures:
        if writer is None:
            size = picture.shape[1::-1]
            writer = cv2.VideoWriter(str(unfinished), codec, fps, size)
            if not writer.isOpened():
                raise OSError('OpenCV cannot write this video')
        writer.write(picture)
    if writer is not None:
        writer.release()
        os.replace(unfinished, path)
