"""Proposals without learning: random boxes and boxes of colored regions."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

# Regions: blur (pixels) and number of colors of each segmentation.
SIGMAS = (0.8, 1.6, 3.2)
NUM_COLORS = (3, 6, 12)
NMS_IOU = 0.7
MIN_SIDE = 8  # pixels, of the longest side


def random_boxes(
    rng: np.random.Generator,
    train_boxes: np.ndarray,
    number: int,
    width: int,
    height: int,
) -> np.ndarray:
    """Draw boxes with the sizes and positions of the training boxes.

    Size and position come from two boxes drawn independently; sizes are
    jittered.

    Args:
        rng (np.random.Generator): source of randomness.
        train_boxes (np.ndarray): (n, 4) x, y, width, height as fractions of
            their image.
        number (int): boxes to draw.
        width (int): of the image, in pixels.
        height (int): of the image, in pixels.

    Returns:
        np.ndarray: (number, 4) x, y, width, height, inside the image.
    """
    sizes = train_boxes[rng.integers(len(train_boxes), size=number), 2:]
    sizes = np.minimum(sizes * np.exp(rng.normal(0, 0.1, sizes.shape)), 1)
    places = train_boxes[rng.integers(len(train_boxes), size=number)]
    corners = places[:, :2] + places[:, 2:] / 2 - sizes / 2
    corners = np.clip(corners, 0, 1 - sizes)
    boxes = np.concatenate([corners, sizes], axis=1)
    return boxes * [width, height, width, height]


def region_boxes(
    image: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the boxes of connected regions of similar color.

    Regions come from color clustering and from MSER. Their score is the
    fraction of the box that they fill, times the square root of its area:
    large and compact regions first.

    Args:
        image (np.ndarray): (h, w, 3) uint8, BGR.
        number (int): maximum number of boxes.

    Returns:
        tuple: boxes (n, 4) x, y, width, height in pixels, after NMS, and
        scores (n,), descending.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
    cv2.setRNGSeed(0)
    regions = [*_color_regions(lab), *_stable_regions(lab)]
    found = np.concatenate(regions).astype(float)
    boxes, areas = found[:, :4], found[:, 4]
    box_areas = boxes[:, 2:].prod(axis=1)
    keep = boxes[:, 2:].max(axis=1) >= MIN_SIDE
    keep &= box_areas < 0.9 * lab[..., 0].size
    boxes, areas, box_areas = boxes[keep], areas[keep], box_areas[keep]
    scores = areas / box_areas * np.sqrt(box_areas)
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, NMS_IOU)
    kept = np.array(kept, int).reshape(-1)[:number]
    return boxes[kept], scores[kept]


def _color_regions(lab: np.ndarray) -> Iterator[np.ndarray]:
    """Yield x, y, width, height, area of the regions of color clusters.

    Each cluster is taken as it is and with its thin bridges removed.
    """
    stop = (cv2.TERM_CRITERIA_MAX_ITER, 8, 0)
    kernel = np.ones((3, 3), np.uint8)
    for sigma in SIGMAS:
        smooth = cv2.GaussianBlur(lab, (0, 0), sigma)
        pixels = smooth.reshape(-1, 3).astype(np.float32)
        for num_colors in NUM_COLORS:
            _, labels, _ = cv2.kmeans(
                pixels, num_colors, None, stop, 1, cv2.KMEANS_PP_CENTERS
            )
            labels = labels.reshape(lab.shape[:2])
            for color in range(num_colors):
                mask = (labels == color).astype(np.uint8)
                opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)
                for m in (mask, opened):
                    # The first region is the outside.
                    yield cv2.connectedComponentsWithStats(m)[2][1:]


def _stable_regions(lab: np.ndarray) -> Iterator[np.ndarray]:
    """Yield x, y, width, height, area of MSER regions of each channel."""
    for channel in cv2.split(lab):
        regions, boxes = cv2.MSER_create(5, 30).detectRegions(channel)
        if len(regions):
            areas = np.array([len(region) for region in regions])
            yield np.column_stack([boxes, areas])
