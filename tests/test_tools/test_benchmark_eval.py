"""The benchmark of evaluators: tiny for agreement, large for memory."""

import json
from pathlib import Path

import numpy as np
import pytest

TOOL = 'python tools/analysis_tools/benchmark_eval.py'


@pytest.fixture
def ann_file(tmp_path) -> Path:
    """Seven objects per image, as COCO has; two classes."""
    rng = np.random.default_rng(0)
    images = [
        dict(id=i, file_name=f'{i}.jpg', width=640, height=480)
        for i in range(50)
    ]
    annotations = [
        dict(
            id=n + 1,
            image_id=n % 50,
            category_id=int(rng.random() < 0.8) + 1,
            bbox=rng.uniform(20, 200, 4).tolist(),
            area=1,
            iscrowd=int(n % 40 == 0),
        )
        for n in range(350)
    ]
    categories = [dict(id=1, name='cat'), dict(id=2, name='kite')]
    path = tmp_path / 'ann.json'
    path.write_text(
        json.dumps(
            dict(images=images, annotations=annotations, categories=categories)
        )
    )
    return path


def test_evaluators_agree(run, ann_file, tmp_path, cells):
    pytest.importorskip('faster_coco_eval')
    out = tmp_path / 'table.md'
    status, output = run(
        f'{TOOL} {ann_file} --partition cat --images 60 --num 30 --out {out}'
    )
    assert status == 0, output
    names = ['pycocotools', 'faster-coco-eval', 'mmdet_owp']
    _, *rows = cells(out.read_text())
    assert [row[0] for row in rows] == names
    for _, seconds, times, _, recall, precision in rows:
        assert float(seconds) >= 0 and float(times) > 0
        assert float(recall) == 0 and float(precision) < 1e-14
    assert rows[-1][2] == '1.0'


@pytest.mark.parametrize(
    'measure, library', [('coco', 'pycocotools'), ('lvis', 'lvis')]
)
def test_evaluators_agree_by_class(run, ann_file, cells, measure, library):
    pytest.importorskip(library)
    status, output = run(
        f'{TOOL} {ann_file} --measure {measure} --images 5 --num 30 '
        f'--repeat 1 --evaluators {library} mmdet_owp'
    )
    assert status == 0, output
    _, *rows = cells(output)
    assert [row[0] for row in rows] == [library, 'mmdet_owp']
    for _, _, _, _, recall, precision in rows:
        assert float(recall) < 1e-12 and float(precision) < 1e-12


def test_memory_of_many_proposals(run, ann_file, cells):
    """5,000 images x 1,500 proposals, all that configs keep."""
    status, output = run(
        f'{TOOL} {ann_file} --partition cat --num 1500 --evaluators mmdet_owp '
        '--repeat 1'
    )
    assert status == 0, output
    (_, (_, _, _, memory, *_)) = cells(output)
    assert 0.3 < float(memory.split()[0]) < 2


def test_bad_input(run, ann_file):
    """The message of the measuring process is the only output."""
    for path, message in (
        ('gone.json', 'error: no annotation file gone.json'),
        (ann_file, "partition 'voc' needs"),
    ):
        status, output = run(f'{TOOL} {path}')
        assert status == 1 and message in output
        assert 'Traceback' not in output
