"""Class-wise AP and AR in COCO's and LVIS's ways, without torch or mmdet."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from mmdet_owp.datasets.coco_file import LVIS_IMAGE_KEYS, CocoObjects
from mmdet_owp.errors import UserError
from mmdet_owp.recall import (
    AREA_RANGES,
    ClassWise,
    Detections,
    Federation,
    evaluate_classes,
)

STYLES = ('coco', 'lvis')
# The official numbers of detections per image.
COCO_NUMS = (1, 10, 100)
LVIS_NUM = 300


def evaluate_class_wise(
    objects: CocoObjects,
    category_ids: Collection[int],
    image_ids: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    style: str = 'coco',
) -> dict[str, float]:
    """Compute AP and AR as means over classes.

    Args:
        objects (CocoObjects): of a COCO or LVIS annotation file.
        category_ids (Collection[int]): classes to evaluate. Objects and
            detections of other classes are left out.
        image_ids (np.ndarray): (n,) image of each detection.
        boxes (np.ndarray): (n, 4) x, y, width, height in pixels of the image
            file.
        scores (np.ndarray): (n,).
        labels (np.ndarray): (n,) category id of each detection.
        style (str): ``'coco'``, or ``'lvis'`` for the federated evaluation:
            a class counts in images where it is known to be present or
            absent, false positives only where it was annotated exhaustively;
            300 detections per image.

    Returns:
        dict[str, float]: ``AP``, ``AP50``, ``AP75``, ``AP_s``, ``AP_m``,
        ``AP_l``; ``AR@1``, ``AR@10``, ``AR@100`` and by size ``AR_s@100``, …;
        on LVIS ``AR@300``, and ``AP_r``, ``AP_c``, ``AP_f`` of rare, common
        and frequent classes. From 0 to 1, NaN if there is no object.

    Raises:
        UserError: if an image is not in the file, a box or score is invalid,
            the style is unknown, or ``style='lvis'`` and the annotations are
            not those of LVIS.
    """
    if style not in STYLES:
        raise UserError(f'style must be one of {STYLES}, not {style!r}')
    truth = objects.ground_truth
    detections = Detections.from_rows(
        truth.image_ids, image_ids, boxes, scores, labels
    )
    if style == 'coco':
        result = evaluate_classes(truth, detections, category_ids, COCO_NUMS)
        return _summarize(result, COCO_NUMS)
    check_lvis(objects, category_ids)
    result = evaluate_classes(
        truth,
        detections.best(LVIS_NUM),
        category_ids,
        (LVIS_NUM,),
        Federation.from_coco(objects.images, truth.image_ids),
    )
    metrics = _summarize(result, (LVIS_NUM,))
    frequencies = {c['id']: c['frequency'] for c in objects.categories}
    frequency = np.array([frequencies[i] for i in sorted(category_ids)])
    for f in 'rcf':
        metrics[f'AP_{f}'] = _mean(result.precision[:, :, frequency == f, 0])
    return metrics


def check_lvis(objects: CocoObjects, category_ids: Collection[int]) -> None:
    """Check that images and classes are those of an LVIS file.

    Args:
        objects (CocoObjects): of the file.
        category_ids (Collection[int]): classes to evaluate.

    Raises:
        UserError: if they are not.
    """
    if not (
        all(
            image.get(key) is not None
            for image in objects.images
            for key in LVIS_IMAGE_KEYS
        )
        and all(
            c.get('frequency') in ('r', 'c', 'f')
            for c in objects.categories
            if c['id'] in category_ids
        )
    ):
        raise UserError(
            'not an LVIS annotation file: images need neg_category_ids and '
            'not_exhaustive_category_ids, categories a frequency; for others '
            "use style='coco'"
        )


def _summarize(result: ClassWise, nums: tuple[int, ...]) -> dict[str, float]:
    """Average over classes and thresholds."""
    precision, recall = result
    sizes = list(enumerate(AREA_RANGES))[1:]  # the first is of all sizes
    return {
        'AP': _mean(precision[..., 0]),
        'AP50': _mean(precision[0, ..., 0]),
        'AP75': _mean(precision[5, ..., 0]),
        **{f'AP_{name}': _mean(precision[..., a]) for a, name in sizes},
        **{f'AR@{k}': _mean(recall[:, :, 0, m]) for m, k in enumerate(nums)},
        **{
            f'AR_{name}@{nums[-1]}': _mean(recall[:, :, a, -1])
            for a, name in sizes
        },
    }


def _mean(values: np.ndarray) -> float:
    """Average over the classes that have objects."""
    values = values[~np.isnan(values)]
    return float(np.mean(values)) if values.size else float('nan')
