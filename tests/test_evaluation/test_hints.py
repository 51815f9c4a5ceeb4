"""Hints about files whose boxes or categories are of another kind."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmdet_owp.commands import eval as eval_command
from mmdet_owp.evaluation.hints import box_hints, category_hints
from mmdet_owp.evaluation.proposal_files import ProposalRows

IMAGES = [dict(id=i, width=320, height=240) for i in range(5)]


def rows(boxes, labels=1, label_is_position=False):
    num = len(boxes)
    return ProposalRows(
        np.arange(num) % 5,
        boxes,
        np.ones(num),
        np.full(num, labels),
        label_is_position,
    )


@pytest.fixture
def boxes():
    """Boxes x, y, width, height inside of an image of 320 x 240 pixels."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, [320, 240], (100, 2, 2))
    low, high = corners.min(1), corners.max(1)
    return np.concatenate([low, high - low], 1)


def test_right_boxes(boxes):
    assert box_hints(rows(boxes), IMAGES) == []
    assert box_hints(rows(boxes[:0]), IMAGES) == []
    # Sizes are not known.
    assert box_hints(rows(boxes), [dict(id=i) for i in range(5)]) == []
    # Detectors may exceed the image a little.
    assert box_hints(rows(boxes * [1, 1, 1.1, 1.1]), IMAGES) == []


def test_corners(boxes):
    boxes[:, 2:] += boxes[:, :2]
    x1, y1, x2, y2 = boxes.T
    share = ((x1 + x2 > 321) | (y1 + y2 > 241)).mean()
    (hint,) = box_hints(rows(boxes), IMAGES)
    assert hint.startswith(f'{share:.0%} of the boxes exceed their image')


def test_relative(boxes):
    (hint,) = box_hints(rows(boxes / [320, 240, 320, 240]), IMAGES)
    assert hint.startswith('100% of the boxes lie within one pixel')


def test_unknown_categories(boxes):
    found = rows(boxes, labels=np.arange(100) % 4)
    assert category_hints(found, {0, 1, 2, 3, 9}) == []
    (hint,) = category_hints(found, {1, 2, 3})
    assert hint.startswith('25 of 100 detections are of categories ')
    assert 'such as 0;' in hint
    assert category_hints(rows(boxes, 7, True), {1}) == []


@pytest.mark.parametrize('change, options, hint', [
    (lambda r: r, [], ''),
    (lambda r: dict(r, bbox=[0.2, 0.2, 0.3, 0.5]), [], 'lie within one pixel'),
    (lambda r: dict(r, bbox=[30, 40, 60, 60]), [], 'exceed their image'),
    (lambda r: dict(r, category_id=0), ['--class-wise', '--split', 'base'],
     r'24 of 24 detections are of categories'),
])  # fmt: skip
def test_command(tmp_path, capsys, change, options, hint):
    categories = [dict(id=1, name='cat'), dict(id=2, name='dog')]
    results, annotations = [], []
    for i in range(24):
        row = dict(image_id=i % 3, category_id=1 + i % 2)
        row['bbox'] = [2 * i, i, 10, 12]
        annotations.append(dict(row, id=i + 1, area=120, iscrowd=0))
        results.append(change(dict(row, score=0.9)))
    images = [
        dict(id=i, file_name=f'{i}.png', width=64, height=64) for i in range(3)
    ]
    paths = [str(tmp_path / name) for name in ('ann.json', 'results.json')]
    content = dict(
        images=images, annotations=annotations, categories=categories
    )
    for path, part in zip(paths, (content, results)):
        with open(path, 'w') as file:
            json.dump(part, file)
    arguments = '--partition', 'cat', '--out', str(tmp_path / 'out'), *options
    eval_command.main([*paths, *arguments])
    lines = capsys.readouterr().out.splitlines()
    start = f'warning: {paths[1]}: '
    warnings = [line for line in lines if line.startswith(start)]
    assert len(warnings) == bool(hint)
    assert hint in ''.join(warnings)
