"""Plots of logs and of files of proposals, against pycocotools."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

REPO = Path(__file__).parents[2]
TOOLS = REPO / 'tools/analysis_tools'
NAMES = {1: 'cat', 2: 'dog', 3: 'kite', 4: 'cup'}


@pytest.fixture
def tool(call_tool):
    return lambda name, *words: call_tool(TOOLS / name, *words)


def test_metrics(tool, write_log, pictures, tmp_path):
    name = 'novel_drop-base/AR@10'
    runs = [
        write_log(
            tmp_path / f'seed{i}',
            dict(iter=50, loss_iou=0.6 + i, floor_loss_iou=0.4),
            dict(iter=100, loss_iou=0.5 + i, floor_loss_iou=0.3),
            {name: 0.2 + i},
        )
        for i in range(2)
    ]
    other = dict(iter=50, loss_bbox=0.4), {name: 0.3}
    other = write_log(tmp_path / 'other', *other)
    lines = f'ours={runs[0]},{runs[1]}', f'other={other}'
    options = '--metrics', 'loss_iou', name, '--out', tmp_path / 'm.png'
    assert tool('plot_metrics.py', *lines, *options) is None
    loss, ar = pictures[-1].axes
    ours, floor = loss.lines
    np.testing.assert_allclose(ours.get_xydata(), [(50, 1.1), (100, 1.0)])
    np.testing.assert_allclose(floor.get_xydata(), [(50, 0.4), (100, 0.3)])
    assert [line.get_xydata().tolist() for line in ar.lines] == [
        [[100, 0.7]],
        [[50, 0.3]],
    ]


def test_metrics_that_are_not_there(tool, write_log, tmp_path):
    run = write_log(tmp_path / 'run', dict(iter=50, loss_iou=0.5))
    out = '--out', tmp_path / 'm.png'
    assert tool('plot_metrics.py', f'a={run}', *out) == (
        'error: no run has logged novel_drop-base/AR@10; there are: iter, '
        'loss_iou'
    )
    status = tool('plot_metrics.py', f'a={tmp_path}/none', *out)
    assert status.startswith(f'error: {tmp_path}/none: no training log')
    assert tool('plot_metrics.py', run, *out) == 2
    assert tool('plot_metrics.py', f'a={run}', '--out', 'm.gif') == 2
    assert tool('plot_metrics.py', f'a={run}', '--columns', 0, *out) == 2


@pytest.fixture
def files(tmp_path):
    """Annotations of four classes, and proposals of two detectors."""
    rng = np.random.default_rng(0)
    annotations = dict(
        images=[dict(id=i, width=300, height=300) for i in range(1, 13)],
        categories=[dict(id=i, name=name) for i, name in NAMES.items()],
        annotations=[
            dict(
                id=n + 1,
                image_id=n % 12 + 1,
                category_id=int(rng.choice([1, 2, 3, 3, 4])),
                bbox=[*rng.uniform(0, 200, 2), *rng.uniform(20, 90, 2)],
                iscrowd=0,
            )
            for n in range(90)
        ],
    )
    for a in annotations['annotations']:
        a['area'] = a['bbox'][2] * a['bbox'][3]
    (tmp_path / 'ann.json').write_text(json.dumps(annotations))
    for name, jitter in (('good', 0.05), ('worse', 0.15)):
        rows = []
        for a in annotations['annotations'] * 3:
            box = a['bbox'] * rng.uniform(1 - jitter, 1 + jitter, 4)
            row = dict(a, bbox=box.tolist(), score=rng.random())
            rows.append(dict(row, category_id=1))
        (tmp_path / f'{name}.json').write_text(json.dumps(rows))
    return tmp_path


def reference(files, name, ks):
    """AR@k of kites and cups by pycocotools, and per class at the last k."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(files / 'ann.json')
        coco.dataset['annotations'] = [
            a for a in coco.dataset['annotations'] if a['category_id'] > 2
        ]
        coco.createIndex()
        results = coco.loadRes(str(files / f'{name}.json'))
        evaluator = COCOeval(coco, results, 'bbox')
        evaluator.params.useCats = 0
        evaluator.params.maxDets = ks
        evaluator.evaluate()
        evaluator.accumulate()
    found = {3: [], 4: []}
    num_images = len(evaluator.params.imgIds)
    for image in evaluator.evalImgs[:num_images]:  # those of any size
        for number, matched in zip(image['gtIds'], image['gtMatches'].T):
            found[coco.anns[number]['category_id']].append(matched > 0)
    return (
        evaluator.eval['recall'][:, 0, 0].mean(0),
        [np.mean(found[c]) for c in (3, 4)],
    )


def test_recall(tool, files, pictures):
    words = (
        f'{files}/ann.json good={files}/good.json worse={files}/worse.json '
        f'--partition cat,dog --max-k 25 -k 10 --out {files}/recall.png'
    )
    assert tool('plot_recall.py', *words.split()) is None
    curves, bars = pictures[-1].axes
    ks = [1, 2, 3, 5, 10, 20, 25]
    for line, name in zip(curves.lines, ('good', 'worse')):
        assert line.get_label() == name
        x, y = line.get_data()
        assert list(x) == list(range(1, 26))
        expected, _ = reference(files, name, ks)
        np.testing.assert_allclose(
            np.array(y)[np.array(ks) - 1] / 100, expected
        )
        assert (np.diff(y) >= 0).all() and y[-1] > 30
    # Most objects first.
    names = [t.get_text() for t in bars.get_xticklabels()]
    assert names == ['kite', 'cup']
    heights = [
        [bar.get_height() / 100 for bar in container]
        for container in bars.containers
    ]
    assert heights[0][0] != heights[1][0]
    for row, name in zip(heights, ('good', 'worse')):
        np.testing.assert_allclose(row, reference(files, name, [10])[1])


def test_wrong_files(tool, files):
    ann, good = files / 'ann.json', f'a={files}/good.json'

    def plot(*words, out=files / 'recall.png'):
        return tool('plot_recall.py', *words, '--out', out)

    missing = 'error: none.json: no such proposal file'
    assert plot(ann, 'a=none.json') == missing
    missing = 'error: no annotation file no.json'
    assert plot('no.json', good).startswith(missing)
    message = plot(ann, good, '--partition', 'cat,dog,kite,cup')
    assert message.endswith('ann.json: no objects of split novel')
    message = plot(ann, good, out=ann / 'a.png')
    assert message.startswith('error: cannot write')
    for wrong in (['--split', 'novel'], [f'{good},b.json'], ['-k', 0]):
        assert plot(ann, good, *wrong) == 2


def test_they_start_without_torch_and_mmdet(files, write_log):
    metrics = {f'novel_drop-base/AR@{k}': 0.5 for k in (10, 100)}
    run = write_log(files / 'run', {'iter': 50, **metrics})
    calls = [
        ['plot_recall.py', 'ann.json', 'a=good.json', '--out', 'a.png'],
        ['plot_metrics.py', f'a={run}', '--out', 'b.png'],
    ]
    code = (
        f'import runpy, sys\nfor argv in {calls!r}:\n'
        f'    sys.argv = argv\n    runpy.run_path("{TOOLS}/" + argv[0], '
        'run_name="__main__")\n'
        'print(sorted({"torch", "mmdet", "mmengine"} & set(sys.modules)))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=files,
        env=dict(os.environ, PYTHONPATH=str(REPO)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == '[]'
    assert (files / 'a.png').exists() and (files / 'b.png').exists()
