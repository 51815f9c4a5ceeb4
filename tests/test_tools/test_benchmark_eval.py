"""The benchmark of evaluators: tiny for agreement, large for memory."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

TOOL = 'tools/analysis_tools/benchmark_eval.py'


@pytest.fixture
def ann_file(tmp_path) -> Path:
    """Seven objects per image, as COCO has; two classes."""
    rng = np.random.default_rng(0)
    path = tmp_path / 'ann.json'
    path.write_text(
        json.dumps(
            dict(
                images=[
                    dict(id=i, file_name=f'{i}.jpg', width=640, height=480)
                    for i in range(50)
                ],
                categories=[dict(id=1, name='cat'), dict(id=2, name='kite')],
                annotations=[
                    dict(
                        id=n + 1,
                        image_id=n % 50,
                        category_id=int(rng.random() < 0.8) + 1,
                        bbox=rng.uniform(20, 200, 4).tolist(),
                        area=1,
                        iscrowd=int(n % 40 == 0),
                    )
                    for n in range(350)
                ],
            )
        )
    )
    return path


def rows_of(output):
    return {
        cells[0]: cells[1:]
        for cells in (
            re.split(r' +\| +', line.strip('| '))
            for line in output.splitlines()
            if line.startswith('|')
        )
    }


def test_evaluators_agree(run, ann_file, tmp_path):
    pytest.importorskip('faster_coco_eval')
    status, output = run(
        *('python', TOOL, ann_file),
        *'--partition cat --images 60 --num 30 --out'.split(),
        tmp_path / 'table.md',
    )
    assert status == 0, output
    rows = rows_of((tmp_path / 'table.md').read_text())
    for name in ('pycocotools', 'faster-coco-eval', 'mmdet_owp'):
        seconds, times, _, recall, precision = rows[name]
        assert float(seconds) >= 0 and float(times) > 0
        assert float(recall) == 0 and float(precision) < 1e-14
    assert rows['mmdet_owp'][1] == '1.0'


def test_memory_of_many_proposals(run, ann_file):
    """5,000 images x 1,500 proposals, all that configs keep."""
    status, output = run(
        *('python', TOOL, ann_file, '--partition', 'cat', '--num', 1500),
        *'--evaluators mmdet_owp --repeat 1'.split(),
    )
    assert status == 0, output
    peak = float(rows_of(output)['mmdet_owp'][2].split()[0])
    assert 0.3 < peak < 2


def test_bad_input(run, ann_file):
    """The message of the measuring process is the only output."""
    status, output = run('python', TOOL, 'gone.json')
    assert status == 1 and 'error: no annotation file gone.json' in output
    assert 'Traceback' not in output
    status, output = run('python', TOOL, ann_file)
    assert status == 1 and "partition 'voc' needs" in output
    assert 'Traceback' not in output
