"""Proposals without learning, and the tool that evaluates them."""

import json
from pathlib import Path

import numpy as np
import pytest

from mmdet_owp.evaluation.trivial_proposals import random_boxes, region_boxes

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/trivial_proposals.py'
TRAIN_VAL = ('train', 'val')


def test_random_boxes_are_like_the_training_boxes():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 0.5, (500, 2))
    train = np.concatenate([corners, rng.uniform(0.1, 0.5, (500, 2))], axis=1)
    boxes = random_boxes(rng, train, 4000, 200, 100)
    assert boxes.min() >= 0
    assert np.all(boxes[:, :2] + boxes[:, 2:] <= np.array([200, 100]) + 1e-9)
    assert np.allclose(
        boxes[:, 2:].mean(0) / [200, 100], train[:, 2:].mean(0), rtol=0.05
    )


def test_regions_find_what_is_of_one_color():
    # Their low recall on the shapes is due to the shapes.
    image = np.full((128, 128, 3), 60, np.uint8)
    squares = [(10, 12, 30, 20), (60, 70, 50, 40), (80, 10, 12, 12)]
    for k, (x, y, w, h) in enumerate(squares):
        image[y : y + h, x : x + w] = np.roll((200, 120, 30), k)
    boxes, scores = region_boxes(image, 100)
    assert np.all(np.diff(scores) <= 0)
    for x, y, w, h in squares:
        bx, by, bw, bh = boxes.T
        iw = np.minimum(bx + bw, x + w) - np.maximum(bx, x)
        ih = np.minimum(by + bh, y + h) - np.maximum(by, y)
        inter = iw.clip(0) * ih.clip(0)
        assert (inter / (bw * bh + w * h - inter)).max() > 0.8


@pytest.fixture
def tool(shapes_dir, call_tool):
    """Call the tool on the built-in data; return what it exits with."""
    files = [shapes_dir / f'annotations/instances_{p}.json' for p in TRAIN_VAL]
    return lambda *options: call_tool(TOOL, *files, *options)


@pytest.mark.parametrize('method', ['random', 'regions'])
def test_command(shapes_dir, tmp_path, method, tool, capsys):
    out = tmp_path / 'results.json'
    images = shapes_dir / 'val'
    assert tool('--images', images, '--method', method, '--out', out) is None
    lines = capsys.readouterr().out.split('\n')
    assert lines[1].startswith(f'{method} novel_drop-base/AR@100 ')
    assert 0 <= float(lines[1].split()[-1]) <= 1
    results = json.loads(out.read_text())
    assert {r['image_id'] for r in results} <= {1, 2, 3, 4}
    assert all(min(r['bbox'][2:]) > 0 for r in results)


@pytest.mark.parametrize('options, message', [
    ('--method regions --images gone', 'missing or not an image; check --im'),
    ('--method random --partition voc', "partition 'voc' needs"),
    ('--method random --partition all-novel', 'no base boxes; check --partit'),
])  # fmt: skip
def test_wrong_input(tool, options, message):
    status = tool(*options.split())
    assert status.startswith('error: ') and message in status
