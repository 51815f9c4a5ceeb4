"""Class-wise AP and AR, of COCO and of LVIS, by the evaluators there are.

faster-coco-eval does both in a fraction of the time; where it isn't
installed, pycocotools and lvis do. The numbers are the same. Neither torch
nor mmdet is needed.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np

from mmdet_owp.errors import UserError
from mmdet_owp.recall import AREA_RANGES, image_positions

STYLES = ('coco', 'lvis')
# The official numbers of detections of an image that count.
COCO_NUMS = (1, 10, 100)
LVIS_NUM = 300


class _Judged(NamedTuple):
    """What the evaluators tell, -1 where a class has no object.

    Attributes:
        precision (np.ndarray): (thresholds, 101 recalls, classes, areas).
        recall (np.ndarray): (thresholds, classes, areas, numbers of
            detections).
    """

    precision: np.ndarray
    recall: np.ndarray


def evaluate_class_wise(
    annotations: Mapping,
    category_ids: Collection[int],
    image_ids: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    style: str = 'coco',
) -> dict[str, float]:
    """Compute AP and AR as means over classes.

    Args:
        annotations (dict): content of a COCO annotation file; for LVIS its
            images have ``neg_category_ids`` and
            ``not_exhaustive_category_ids``.
        category_ids (Collection[int]): classes to evaluate. Objects and
            detections of others are left out.
        image_ids (np.ndarray): image of each detection, (n, ).
        boxes (np.ndarray): (n, 4) x, y, width, height in pixels of the image
            file.
        scores (np.ndarray): (n, ).
        labels (np.ndarray): category id of each detection, (n, ).
        style (str): ``'coco'``, or ``'lvis'`` for its federated evaluation:
            in an image a class counts only where it is known to be there or
            not, and false positives only where it was annotated
            exhaustively; 300 detections an image.

    Returns:
        dict[str, float]: ``AP``, ``AP50``, ``AP75``, ``AP_s``, ``AP_m``,
        ``AP_l``; ``AR@1``, ``AR@10``, ``AR@100`` (LVIS: ``AR@300``) and by
        size ``AR_s@100``, …; on LVIS ``AP_r``, ``AP_c``, ``AP_f`` of rare,
        common and frequent classes. From 0 to 1, NaN where there is nothing
        to find.

    Raises:
        ValueError: in one line, for an image that isn't in the file, an
            unknown style, or annotations that aren't those of LVIS.
    """
    if style not in STYLES:
        raise UserError(f'style must be one of {STYLES}, not {style!r}')
    category_ids = sorted(category_ids)
    known = np.unique([i['id'] for i in annotations['images']])
    # Both evaluators take an object of id 0 for none: count from 1. Images
    # are renumbered, too, as an evaluator may hold their ids as floats.
    position = {i: n + 1 for n, i in enumerate(known.tolist())}
    wanted = set(category_ids)
    categories = sorted(
        (c for c in annotations['categories'] if c['id'] in wanted),
        key=lambda c: c['id'],
    )
    images = [dict(i, id=position[i['id']]) for i in annotations['images']]
    if style == 'lvis':
        _check_lvis(images, categories)
    objects = [
        dict(
            id=n + 1,
            image_id=position[a['image_id']],
            category_id=a['category_id'],
            bbox=a['bbox'],
            area=a.get('area', a['bbox'][2] * a['bbox'][3]),
            iscrowd=a.get('iscrowd', 0),
        )
        for n, a in enumerate(
            a
            for a in annotations['annotations']
            if a['category_id'] in wanted and a['image_id'] in position
        )
    ]
    truth = dict(images=images, categories=categories, annotations=objects)

    image = image_positions(known, image_ids) + 1
    rows = np.isin(labels, category_ids)
    if style == 'lvis':
        rows &= _rank(image, scores) < LVIS_NUM
    detections = [
        dict(
            id=n + 1,
            image_id=i,
            category_id=label,
            bbox=box,
            area=box[2] * box[3],
            score=score,
            iscrowd=0,
        )
        for n, (i, label, box, score) in enumerate(
            zip(
                image[rows].tolist(),
                labels[rows].tolist(),
                boxes[rows].tolist(),
                scores[rows].tolist(),
            )
        )
    ]
    # Not every evaluator can do without; a box of no area finds nothing.
    detections = detections or [
        dict(
            id=1,
            image_id=1,
            category_id=category_ids[0],
            bbox=[0, 0, 0, 0],
            area=0,
            score=0,
            iscrowd=0,
        )
    ]
    if style == 'coco':
        return _summarize(_judge_coco(truth, detections), COCO_NUMS)
    judged = _judge_lvis(truth, detections)
    frequency = np.array([c['frequency'] for c in categories])
    return {
        **_summarize(judged, (LVIS_NUM,)),
        **{
            f'AP_{f}': _mean(judged.precision[:, :, frequency == f, 0])
            for f in 'rcf'
        },
    }


def _check_lvis(images: list[dict], categories: list[dict]) -> None:
    """Check that images and classes are those of an LVIS file."""
    keys = ('neg_category_ids', 'not_exhaustive_category_ids')
    if not (
        all(key in image for image in images for key in keys)
        and all('frequency' in c for c in categories)
    ):
        raise UserError(
            'not an LVIS annotation file: images need neg_category_ids and '
            'not_exhaustive_category_ids, categories a frequency; for others '
            "use style='coco'"
        )


def _rank(image: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Place of each detection among its image's, by falling score."""
    order = np.lexsort((-scores, image))
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order)) - np.searchsorted(
        image[order], image[order]
    )
    return rank


def _judge_coco(truth: dict, detections: list[dict]) -> _Judged:
    """Evaluate as COCO, by faster-coco-eval or pycocotools."""
    try:
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as COCOeval
    except ImportError:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    return _judge(COCO, COCOeval, truth, detections, COCO_NUMS)


def _judge(
    coco_class: type,
    eval_class: type,
    truth: dict,
    detections: list[dict],
    nums: tuple[int, ...],
    **settings: bool,
) -> _Judged:
    """Evaluate by classes that are used as those of pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        objects, found = coco_class(), coco_class()
        objects.dataset = truth
        found.dataset = dict(truth, annotations=detections)
        objects.createIndex()
        found.createIndex()
        judge = eval_class(objects, found, iouType='bbox', **settings)
        judge.params.maxDets = list(nums)
        judge.params.areaRng = [list(r) for r in AREA_RANGES.values()]
        judge.params.areaRngLbl = list(AREA_RANGES)
        judge.evaluate()
        judge.accumulate()
    return _Judged(judge.eval['precision'][..., -1], judge.eval['recall'])


def _judge_lvis(truth: dict, detections: list[dict]) -> _Judged:
    """Evaluate as LVIS, by faster-coco-eval or lvis."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster

        return _judge(
            COCO,
            COCOeval_faster,
            truth,
            detections,
            (LVIS_NUM,),
            lvis_style=True,
        )
    except ImportError:
        from lvis import LVIS, LVISEval, LVISResults
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'truth.json'
        path.write_text(json.dumps(truth))
        objects = LVIS(str(path))
    judge = LVISEval(objects, LVISResults(objects, detections), 'bbox')
    judge.params.area_rng = [list(r) for r in AREA_RANGES.values()]
    judge.evaluate()
    # lvis 0.5.3 is of the time when numpy had this name.
    with mock.patch.object(np, 'float', float, create=True):
        judge.accumulate()
    return _Judged(judge.eval['precision'], judge.eval['recall'][..., None])


def _summarize(judged: _Judged, nums: tuple[int, ...]) -> dict[str, float]:
    """Average what the evaluators tell."""
    precision, recall = judged
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
    """Average over what there is."""
    values = values[values > -1]
    return float(np.mean(values)) if values.size else float('nan')
