"""The notebook in demo/, with the model in the package."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmdet_owp.apis.default_model import default_model
from mmdet_owp.errors import UserError

# Drawn by hand around what astronaut.jpg shows, x1, y1, x2, y2.
ASTRONAUT = {'person': (30, 15, 395, 512), 'shuttle': (360, 0, 465, 290)}


@pytest.fixture
def notebook(repo):
    return json.loads((repo / 'demo/inference_demo.ipynb').read_text())


def iou(boxes, box):
    top_left = np.maximum(boxes[:, :2], box[:2])
    bottom_right = np.minimum(boxes[:, 2:], box[2:])
    inside = np.prod(np.clip(bottom_right - top_left, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return inside / (areas + np.prod(np.subtract(box[2:], box[:2])) - inside)


def test_notebook_is_committed_without_outputs(notebook):
    cells = [c for c in notebook['cells'] if c['cell_type'] == 'code']
    assert not any(c['outputs'] or c['execution_count'] for c in cells)


@pytest.mark.slow
def test_notebook_runs(repo, notebook, tmp_path, monkeypatch):
    try:
        default_model()
    except UserError as error:
        pytest.skip(str(error))
    folder = tmp_path / 'demo'
    folder.mkdir()
    (folder / 'photos').symlink_to(repo / 'demo/photos')
    monkeypatch.chdir(folder)
    variables = {}
    for cell in notebook['cells']:
        if cell['cell_type'] == 'code':
            exec(''.join(cell['source']), variables)

    boxes, scores = variables['boxes'], variables['scores']
    assert (np.diff(scores) <= 0).all()
    for name, box in ASTRONAUT.items():
        assert iou(boxes[:100], box).max() > 0.5, name
    assert variables['drawn'].shape == (427, 640, 3)

    file = tmp_path / 'work_dirs/demo/proposals.json'
    rows = json.loads(file.read_text())
    # In the folder's order, astronaut.jpg is the first of four.
    assert [row['image_id'] for row in rows] == sorted([0, 1, 2, 3] * 100)
    xywh = np.array([row['bbox'] for row in rows[:100]])
    corners = np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])
    np.testing.assert_allclose(corners, boxes[:100], atol=1e-3)
