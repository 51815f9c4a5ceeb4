"""Class-wise AP and AR, in COCO's and in LVIS's way.

faster-coco-eval computes both and is the fastest; without it, pycocotools and
lvis do. The numbers are the same. Neither torch nor mmdet is needed.
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
from mmdet_owp.recall import AREA_RANGES, id_array, image_positions

STYLES = ('coco', 'lvis')
# The official numbers of detections per image.
COCO_NUMS = (1, 10, 100)
LVIS_NUM = 300


class _Accumulated(NamedTuple):
    """What the evaluators return; -1 for a class without objects.

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
        annotations (dict): content of a COCO or LVIS annotation file.
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
        UserError: if an image is not in the file, the style is unknown, or
            ``style='lvis'`` and the annotations are not those of LVIS.
    """
    if style not in STYLES:
        raise UserError(f'style must be one of {STYLES}, not {style!r}')
    category_ids = sorted(category_ids)
    known = np.unique(id_array(i['id'] for i in annotations['images']))
    image = image_positions(known, image_ids) + 1
    truth = _ground_truth(annotations, set(category_ids), known)
    chosen = np.isin(labels, category_ids)
    if style == 'lvis':
        check_lvis(truth, category_ids)
        chosen &= _rank(image, scores) < LVIS_NUM
    columns = (c[chosen].tolist() for c in (image, labels, boxes, scores))
    detections = [
        _record(n + 1, i, label, box, box[2] * box[3], score=score)
        for n, (i, label, box, score) in enumerate(zip(*columns))
    ]
    if not detections:  # not every evaluator accepts none
        detections = [_record(1, 1, category_ids[0], [0] * 4, 0, score=0)]
    if style == 'coco':
        return _summarize(_accumulate_coco(truth, detections), COCO_NUMS)
    result = _accumulate_lvis(truth, detections)
    metrics = _summarize(result, (LVIS_NUM,))
    frequency = np.array([c['frequency'] for c in truth['categories']])
    for f in 'rcf':
        metrics[f'AP_{f}'] = _mean(result.precision[:, :, frequency == f, 0])
    return metrics


def _ground_truth(
    annotations: Mapping, wanted: set[int], known: np.ndarray
) -> dict:
    """Return images and objects of some classes, numbered from 1.

    The evaluators mistake an object of id 0 for no object, and may hold image
    ids as floats.
    """
    position = {i: n + 1 for n, i in enumerate(known.tolist())}
    objects = (
        a
        for a in annotations['annotations']
        if a['category_id'] in wanted and a['image_id'] in position
    )
    categories = (c for c in annotations['categories'] if c['id'] in wanted)
    return dict(
        images=[dict(i, id=position[i['id']]) for i in annotations['images']],
        categories=sorted(categories, key=lambda c: c['id']),
        annotations=[
            _record(
                n + 1,
                position[a['image_id']],
                a['category_id'],
                a['bbox'],
                a.get('area', a['bbox'][2] * a['bbox'][3]),
                a.get('iscrowd', 0),
            )
            for n, a in enumerate(objects)
        ],
    )


def _record(
    id_: int,
    image_id: int,
    category_id: int,
    bbox: list[float],
    area: float,
    iscrowd: int = 0,
    **score: float,
) -> dict:
    """Return an object or a detection in COCO format."""
    return dict(
        id=id_,
        image_id=image_id,
        category_id=category_id,
        bbox=bbox,
        area=area,
        iscrowd=iscrowd,
        **score,
    )


def check_lvis(annotations: Mapping, category_ids: Collection[int]) -> None:
    """Check that images and classes are those of an LVIS file.

    Args:
        annotations (dict): content of the file.
        category_ids (Collection[int]): classes to evaluate.

    Raises:
        UserError: if they are not.
    """
    keys = ('neg_category_ids', 'not_exhaustive_category_ids')
    if not (
        all(
            image.get(key) is not None
            for image in annotations['images']
            for key in keys
        )
        and all(
            c.get('frequency') in ('r', 'c', 'f')
            for c in annotations['categories']
            if c['id'] in category_ids
        )
    ):
        raise UserError(
            'not an LVIS annotation file: images need neg_category_ids and '
            'not_exhaustive_category_ids, categories a frequency; for others '
            "use style='coco'"
        )


def _rank(image: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Rank the detections of each image by descending score, from 0."""
    order = np.lexsort((-scores, image))
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order)) - np.searchsorted(
        image[order], image[order]
    )
    return rank


def _accumulate_coco(truth: dict, detections: list[dict]) -> _Accumulated:
    """Evaluate as COCO, by faster-coco-eval or pycocotools."""
    try:
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as COCOeval
    except ImportError:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    return _accumulate(COCO, COCOeval, truth, detections, COCO_NUMS)


def _accumulate(
    coco_class: type,
    eval_class: type,
    truth: dict,
    detections: list[dict],
    nums: tuple[int, ...],
    **settings: bool,
) -> _Accumulated:
    """Evaluate by classes with the interface of pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        objects, found = coco_class(), coco_class()
        objects.dataset = truth
        found.dataset = dict(truth, annotations=detections)
        objects.createIndex()
        found.createIndex()
        evaluator = eval_class(objects, found, iouType='bbox', **settings)
        evaluator.params.maxDets = list(nums)
        evaluator.params.areaRng = [list(r) for r in AREA_RANGES.values()]
        evaluator.params.areaRngLbl = list(AREA_RANGES)
        evaluator.evaluate()
        evaluator.accumulate()
    result = evaluator.eval
    return _Accumulated(result['precision'][..., -1], result['recall'])


def _accumulate_lvis(truth: dict, detections: list[dict]) -> _Accumulated:
    """Evaluate as LVIS, by faster-coco-eval or lvis."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster

        return _accumulate(
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
        path.write_text(json.dumps(truth), encoding='utf-8')
        objects = LVIS(str(path))
    evaluator = LVISEval(objects, LVISResults(objects, detections), 'bbox')
    evaluator.params.area_rng = [list(r) for r in AREA_RANGES.values()]
    evaluator.evaluate()
    # lvis 0.5.3 uses np.float, which numpy has removed.
    with mock.patch.object(np, 'float', float, create=True):
        evaluator.accumulate()
    result = evaluator.eval
    return _Accumulated(result['precision'], result['recall'][..., None])


def _summarize(
    result: _Accumulated, nums: tuple[int, ...]
) -> dict[str, float]:
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
    values = values[values > -1]
    return float(np.mean(values)) if values.size else float('nan')
