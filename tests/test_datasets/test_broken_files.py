"""Randomly broken COCO files: refused, or counted the same by every tool.

What is trained on follows mmdet's data set. What is evaluated follows
pycocotools.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import mmdet_owp.register  # noqa: F401
from mmdet_owp.datasets.checker import check_file
from mmdet_owp.datasets.coco_split import CocoSplitDataset
from mmdet_owp.errors import UserError
from mmdet_owp.evaluation.class_agnostic_recall_metric import (
    ClassAgnosticRecallMetric,
)
from mmdet_owp.evaluation.class_wise_metric import ClassWiseMetric
from mmdet_owp.evaluation.file_evaluation import AnnotationFile

NAMES = ('cat', 'dog', 'kite', 'ring')
BASE = 'cat,dog'
GOOD = dict(
    images=[
        dict(id=n + 1, file_name=f'{n}.png', width=100, height=80)
        for n in range(4)
    ],
    categories=[dict(id=n + 1, name=name) for n, name in enumerate(NAMES)],
    annotations=[
        dict(
            id=n + 1,
            image_id=n % 4 + 1,
            category_id=n // 2 % 4 + 1,
            bbox=[3 + 5 * n, 2 + 4 * n, 20 + n, 30 - n],
            area=(20 + n) * (30 - n),
            iscrowd=0,
        )
        for n in range(10)
    ],
)
MISSING = object()
SMALL = st.integers(-2, 12)
ODD_VALUE = st.one_of(
    st.none(),
    st.booleans(),
    SMALL,
    SMALL.map(float),
    SMALL.map(str),
    st.sampled_from([2**63, 2**70, -(2**64), 1e300, 10**400, 0.5, '', 'cat']),
    st.floats(),
    st.builds(list),
    st.builds(dict),
)
ODD = st.one_of(st.just(MISSING), ODD_VALUE)
SIDE = st.one_of(
    st.floats(-5, 120),
    st.integers(-2, 120),
    st.sampled_from([0, 0.99, 1e-200]),
)
BOX = st.one_of(ODD, st.lists(st.one_of(SIDE, ODD_VALUE), max_size=5))
VALUES = {
    'bbox': st.one_of(st.lists(SIDE, min_size=4, max_size=4), BOX),
    'area': st.one_of(st.floats(-1, 3e4), st.sampled_from([0, 2e10]), ODD),
    'iscrowd': st.one_of(st.integers(0, 1), ODD),
    'ignore': st.one_of(st.integers(0, 1), ODD),
    'width': st.one_of(st.integers(1, 120), ODD),
    'height': st.one_of(st.integers(1, 120), ODD),
    'file_name': st.one_of(st.sampled_from(['1.png', 'a/1.png']), ODD),
    'name': st.one_of(st.sampled_from(NAMES), ODD),
}
KEYS = {
    'images': ('id', 'file_name', 'width', 'height'),
    'categories': ('id', 'name'),
    'annotations': (
        *('id', 'image_id', 'category_id', 'bbox', 'bbox', 'bbox', 'area'),
        *('area', 'iscrowd', 'ignore'),
    ),
}


@st.composite
def broken(draw):
    """Change some values of a good file, or whole records and lists."""
    content = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(['annotations'] * 4 + ['images', *KEYS]))
        records = content[kind]
        if not isinstance(records, list) or not records:
            continue
        n = draw(st.integers(0, len(records) - 1))
        how = draw(st.integers(0, 19))
        if how == 0:
            value = draw(ODD)
            content[kind] = [] if value is MISSING else value
        elif how == 1:
            value = draw(ODD)
            records[n] = 3 if value is MISSING else value
        elif how == 2:
            records.append(copy.deepcopy(records[n]))
        elif how == 3:
            del records[n]
        elif isinstance(records[n], dict):
            key = draw(st.sampled_from(KEYS[kind]))
            valid = st.one_of(SMALL, SMALL, ODD)
            value = draw(VALUES.get(key, valid))
            records[n].pop(key, None)
            if value is not MISSING:
                records[n][key] = value
    return content


def outcome(function, *args, **kwargs):
    """The value, or the text of a UserError, which is one line."""
    try:
        return function(*args, **kwargs)
    except UserError as error:
        assert '\n' not in str(error)
        return str(error)


def trained_on(path):
    """Images and boxes that the data set shows."""
    dataset = CocoSplitDataset(
        ann_file=path,
        partition=BASE.split(','),
        split='base',
        data_prefix=dict(img=''),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[],
    )
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    boxes = [
        i for info in infos for i in info['instances'] if not i['ignore_flag']
    ]
    return len(infos), len(boxes)


def judged_by_metric(path):
    metric = ClassAgnosticRecallMetric(path, BASE.split(','), split='all')
    evaluator = metric._evaluator([])
    return {
        split: int(
            np.count_nonzero(
                evaluator.evaluate(metric.partition.categories(split)).wanted[
                    'all'
                ]
            )
        )
        for split in ('base', 'novel')
    }


def judged_by_classes(path):
    found = {}
    for split in ('base', 'novel'):
        metric = ClassWiseMetric(path, BASE.split(','), split=split)
        truth = metric.objects.ground_truth.select(metric.categories)
        in_range = (truth.areas >= 0) & (truth.areas <= 1e10)
        found[split] = int(np.count_nonzero(in_range & ~truth.crowd))
    return found


def judged_by_file(path):
    data = AnnotationFile.read(path, BASE)
    truth = data.ground_truth
    return {
        split: int(
            np.isin(
                truth.category, list(data.partition.categories(split))
            ).sum()
            - truth.select(data.partition.categories(split)).crowd.sum()
        )
        for split in ('base', 'novel')
    }


def judged_by_pycocotools(path):
    """Objects that pycocotools looks for, per split."""
    with open(path, encoding='utf-8') as file:
        content = json.load(file)
    for a in content['annotations']:
        # The rule of this package for what pycocotools requires.
        if a.get('area') is None:
            a['area'] = a['bbox'][2] * a['bbox'][3]
        a['iscrowd'] = a.get('iscrowd') or 0
    found = {}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = content
        truth.createIndex()
        results = COCO()
        results.dataset = dict(content, annotations=[])
        results.createIndex()
        for split in ('base', 'novel'):
            evaluator = COCOeval(truth, results, 'bbox')
            evaluator.params.catIds = [
                c['id']
                for c in content['categories']
                if (c['name'] in NAMES[:2]) == (split == 'base')
            ]
            evaluator.params.areaRng = [[0, 1e10]]
            evaluator.params.areaRngLbl = ['all']
            evaluator.evaluate()
            found[split] = sum(
                int((np.array(e['gtIgnore']) == 0).sum())
                for e in evaluator.evalImgs
                if e is not None
            )
    return found


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=broken())
def test_refused_or_counted_alike(content, tmp_path):
    logging.getLogger('mmdet_owp').setLevel(logging.ERROR)
    path = str(tmp_path / 'ann.json')
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(content, file)
    report = outcome(check_file, path, BASE)
    shown = outcome(trained_on, path)
    judged = [
        outcome(function, path)
        for function in (judged_by_metric, judged_by_classes, judged_by_file)
    ]
    problems = isinstance(report, str) or any(
        f.level == 'problem' for f in report.findings
    )
    # The checker has a problem if and only if training cannot start.
    assert problems == isinstance(shown, str), (report, shown)
    if not problems:
        summary = report.summary
        training = summary['training']
        assert (training['images'], training['boxes']) == shown
        expected = judged_by_pycocotools(path)
        assert judged == [expected] * 3
        assert expected == {
            split: summary['splits'][split]['boxes']
            for split in ('base', 'novel')
        }
    elif not isinstance(report, str) and 'splits' in report.summary:
        expected = {
            split: report.summary['splits'][split]['boxes']
            for split in ('base', 'novel')
        }
        assert judged == [expected] * 3
    elif any(not isinstance(j, str) for j in judged):
        # Evaluation needs neither names nor sizes of images.
        expected = judged_by_pycocotools(path)
        assert all(
            j in (expected, j if isinstance(j, str) else 0) for j in judged
        )
