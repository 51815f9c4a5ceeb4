"""Class-wise precisions and recalls are those of pycocotools and lvis."""

import contextlib
import io
import json
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from recall_reference import box

from mmdet_owp.errors import UserError
from mmdet_owp.recall import (
    AREA_RANGES,
    Detections,
    Federation,
    GroundTruth,
    evaluate_classes,
)

CLASSES = (1, 2, 5, 7)
KEYS = ('image_id', 'bbox', 'score', 'category_id')


def ours(annotations, rows, classes, nums, federated=False):
    truth = GroundTruth.from_coco(annotations)
    columns = [[r[key] for r in rows] for key in KEYS]
    detections = Detections.from_rows(
        truth.image_ids, *(np.array(c) for c in columns)
    )
    federation = None
    if federated:
        detections = detections.best(nums[-1])
        federation = Federation.from_coco(
            annotations['images'], truth.image_ids
        )
    return evaluate_classes(truth, detections, classes, nums, federation)


def pycocotools(annotations, rows, classes, nums):
    with contextlib.redirect_stdout(io.StringIO()):
        truth, found = COCO(), COCO()
        truth.dataset = annotations
        found.dataset = dict(
            annotations,
            annotations=[
                dict(r, id=n, area=r['bbox'][2] * r['bbox'][3])
                for n, r in enumerate(rows, 1)
            ],
        )
        truth.createIndex()
        found.createIndex()
        evaluator = COCOeval(truth, found, 'bbox')
        evaluator.params.catIds = list(classes)
        evaluator.params.maxDets = list(nums)
        evaluator.params.areaRng = [list(r) for r in AREA_RANGES.values()]
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator.eval['precision'][..., -1], evaluator.eval['recall']


def lvis(annotations, rows, classes, num):
    api = pytest.importorskip('lvis')
    logging.disable(logging.WARNING)
    vars(np).setdefault('float', float)  # lvis 0.5.3 needs it
    truth = api.LVIS.__new__(api.LVIS)
    truth.logger = logging.getLogger('lvis')
    truth.dataset = json.loads(json.dumps(annotations))
    truth._create_index()
    rows = [dict(r) for r in rows]
    evaluator = api.LVISEval(
        truth, api.LVISResults(truth, rows, max_dets=num), 'bbox'
    )
    evaluator.params.cat_ids = list(classes)
    evaluator.evaluate()
    evaluator.accumulate()
    logging.disable(logging.NOTSET)
    return evaluator.eval['precision'], evaluator.eval['recall'][..., None]


def check(found, theirs):
    for value, other in zip(found, theirs):
        expected = np.where(other < 0, np.nan, other)
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-12)


@st.composite
def scenes(draw):
    """Ties, crowds, objects at the ends of area ranges, lists of classes."""
    ids = draw(
        st.lists(st.sampled_from([3, 8, 2**40]), min_size=1, unique=True)
    )
    scale = draw(st.sampled_from([1, 4, 12]))
    category = st.sampled_from(CLASSES)
    listed = st.lists(category, max_size=3, unique=True)
    rows = [
        dict(
            image_id=draw(st.sampled_from(ids)),
            category_id=draw(category),
            bbox=[scale * v for v in draw(box)],
        )
        for _ in range(draw(st.integers(0, 24)))
    ]
    num = draw(st.integers(0, len(rows)))
    for n, a in enumerate(rows[:num], 1):
        area = a['bbox'][2] * a['bbox'][3]
        area = draw(st.sampled_from([area, 0.7 * area, 32**2, 96**2]))
        crowd, ignore = draw(st.sampled_from([(0, 0)] * 3 + [(1, 0), (0, 1)]))
        a.update(id=n, area=area, iscrowd=crowd, ignore=ignore)
    for row in rows[num:]:
        row['score'] = draw(st.sampled_from([0.1, 0.5, 0.5, 0.9]))
        if num and draw(st.booleans()):
            a = draw(st.sampled_from(rows[:num]))
            row.update({k: a[k] for k in ('image_id', 'bbox', 'category_id')})
    images = [
        dict(
            id=i,
            neg_category_ids=draw(listed),
            not_exhaustive_category_ids=draw(listed),
        )
        for i in ids
    ]
    categories = [dict(id=i, frequency='f') for i in CLASSES]
    annotations = dict(
        images=images, categories=categories, annotations=rows[:num]
    )
    classes = draw(st.lists(category, min_size=1, unique=True).map(sorted))
    return annotations, rows[num:], classes


def classes_agree(scene):
    annotations, rows, classes = scene
    nums = (1, 2, 4)
    found = ours(annotations, rows, classes, nums)
    check(found, pycocotools(annotations, rows, classes, nums))


def federated_agree(scene):
    annotations, rows, classes = scene
    if rows:  # lvis takes no empty list
        found = ours(annotations, rows, classes, (5,), federated=True)
        check(found, lvis(annotations, rows, classes, 5))


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_random_scenes_are_those_of_pycocotools(scene):
    classes_agree(scene)


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_random_scenes_are_those_of_lvis(scene):
    federated_agree(scene)


def test_published_example_is_that_of_pycocotools(shared_dir):
    folder = shared_dir / 'data/evaluator'
    annotations, rows = (
        json.loads((folder / name).read_text())
        for name in (
            'instances_val2014_100.json',
            'instances_val2014_fakebbox100_results.json',
        )
    )
    classes = sorted(c['id'] for c in annotations['categories'])
    found = ours(annotations, rows, classes, (1, 10, 100))
    check(found, pycocotools(annotations, rows, classes, (1, 10, 100)))


def test_bad_detection_is_named():
    with pytest.raises(UserError, match=r'^image 9: detection 1 \(row 2\)'):
        Detections.from_rows(
            np.array([8, 9]),
            [8, 9, 9],
            np.array([[0, 0, 1, 1.0]] * 2 + [[0, 0, 1, np.nan]]),
            np.ones(3),
            np.ones(3, int),
        )
