"""Evaluate proposal files from the command line."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmdet_owp.commands import eval as command
from mmdet_owp.partitions import COCO_NON_VOC, COCO_VOC, LVIS
from mmdet_owp.recall import PROTOCOLS, GroundTruth, Proposals, RecallEvaluator

REPO = Path(__file__).parents[2]
TOOL = REPO / 'tools/analysis_tools/eval_proposals.py'


@pytest.fixture
def files(tmp_path):
    """Annotations with COCO's classes; good, worse and other proposals."""
    rng = np.random.default_rng(0)
    classes = sorted({**COCO_VOC, **COCO_NON_VOC}.items())
    annotations = dict(
        images=[
            dict(id=i, file_name=f'{i}.jpg', width=300, height=300)
            for i in range(1, 21)
        ],
        categories=[dict(id=i, name=name) for i, name in classes],
        annotations=[
            dict(
                id=n + 1,
                image_id=n % 20 + 1,
                category_id=int(rng.choice([1, 3, 8, 18, 38])),
                bbox=[*rng.uniform(0, 200, 2), *rng.uniform(20, 90, 2)],
                iscrowd=0,
            )
            for n in range(120)
        ],
    )
    (tmp_path / 'ann.json').write_text(json.dumps(annotations))
    for name, jitter in (('good', 0.04), ('worse', 0.12)):
        rows = [
            dict(
                image_id=a['image_id'],
                category_id=a['category_id'],
                bbox=(
                    np.array(a['bbox'])
                    * rng.uniform(1 - jitter, 1 + jitter, 4)
                ).tolist(),
                score=float(rng.random()),
            )
            for a in annotations['annotations']
        ]
        (tmp_path / f'{name}.json').write_text(json.dumps(rows))
    return annotations, tmp_path


@pytest.fixture
def evaluate(files, capsys):
    """Call the command; return what it prints and the metrics it writes."""
    folder = files[1]

    def call(*arguments):
        words = [
            str(folder / a) if (folder / str(a)).exists() else str(a)
            for a in arguments
        ]
        command.main([*words, '--out', str(folder / 'out')])
        written = json.loads((folder / 'out/recall.json').read_text())
        return capsys.readouterr().out, written

    return call


def test_metrics_are_those_of_the_evaluator(files, evaluate):
    annotations, folder = files
    splits = ('novel', 'base')
    options = '--partition voc --split novel base --k 1 5 10'.split()
    printed, written = evaluate('ann.json', 'good.json', *options)
    rows = json.loads((folder / 'good.json').read_text())
    truth = GroundTruth.from_coco(annotations)
    evaluator = RecallEvaluator(
        truth,
        Proposals.from_rows(
            truth.image_ids,
            [r['image_id'] for r in rows],
            [r['bbox'] for r in rows],
            [r['score'] for r in rows],
        ),
    )
    numbers = written[str(folder / 'good.json')]
    assert list(numbers) == [f'{s}_{p}' for s in splits for p in PROTOCOLS]
    for split, classes in (('novel', COCO_NON_VOC), ('base', COCO_VOC)):
        for protocol in PROTOCOLS:
            found = evaluator.evaluate(classes, protocol, (1, 5, 10))
            expected = {**found.metrics(), **found.details(classes)}
            # JSON has null where there is no object.
            found = {
                name: np.nan if value is None else value
                for name, value in numbers[f'{split}_{protocol}'].items()
            }
            np.testing.assert_equal(found, expected)
            assert expected['AR@10'] > 0.5
            assert f'{expected["AR@5"]:.4f}' in printed
    assert 'AR@10/truck' in numbers['novel_drop-base']
    with open(folder / 'out/recall.csv') as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == sum(map(len, numbers.values()))
    assert all(
        np.isnan(float(line['value']))
        or numbers[line['split_protocol']][line['metric']]
        == float(line['value'])
        for line in lines
    )


def test_metrics_name_the_partition_of_lvis(files, evaluate):
    annotations, folder = files
    ids = [1, 885, 818, 1083, 1100]  # the last two are novel
    annotations['categories'] = [
        dict(id=i, name=name, frequency=frequency)
        for i, (name, frequency) in LVIS.items()
    ]
    for image in annotations['images']:
        image.update(neg_category_ids=[1], not_exhaustive_category_ids=[])
    for a in annotations['annotations']:
        a['category_id'] = ids[a['id'] % 5]
    (folder / 'ann.json').write_text(json.dumps(annotations))
    options = '--partition lvis-count --split novel base --details'.split()
    (numbers,) = evaluate('ann.json', 'good.json', *options)[1].values()
    for protocol in PROTOCOLS:
        novel = numbers[f'lvis-count_novel_{protocol}']
        base = numbers[f'lvis-count_base_{protocol}']
        # Recall per class covers the classes of its split.
        assert 'AR@100/tongs' in novel and 'AR@100/tongs' not in base
        assert 'AR@100/ring' in base and 'AR@100/ring' not in novel
        assert novel['AR@10'] > 0.5
    options = '--partition lvis-id --class-wise --style lvis'.split()
    (numbers,) = evaluate('ann.json', 'good.json', *options)[1].values()
    assert set(numbers) == {'lvis-id_novel_class-wise'}


def test_two_files_are_compared(evaluate):
    options = '--partition voc --protocol drop-base'.split()
    printed, written = evaluate(
        'ann.json', 'worse.json', 'good.json', *options
    )
    both = written['difference']['novel_drop-base/AR@10']
    assert both['first'] < both['second']
    assert both['difference'] == both['second'] - both['first']
    assert 0 < both['low'] < both['difference'] < both['high']
    assert 'paired bootstrap over images, 1000 resamples, seed 0' in printed


def test_base_classes_by_name_or_id(evaluate):
    by_name = evaluate('ann.json', 'good.json', '--partition', 'person,car')[1]
    by_id = evaluate('ann.json', 'good.json', '--partition', '3,1')[1]
    np.testing.assert_equal(by_name, by_id)
    (rows,) = by_name.values()
    assert {k for k in rows['novel_drop-base'] if k.startswith('AR@100/')} == {
        f'AR@100/{name}' for name in ('truck', 'dog', 'kite')
    }


def test_all_classes_count_without_a_partition(evaluate):
    """Then the protocols are the same."""
    (rows,) = evaluate('ann.json', 'good.json', '--details')[1].values()
    assert list(rows) == [f'all_{protocol}' for protocol in PROTOCOLS]
    for numbers in rows.values():
        np.testing.assert_equal(numbers, rows['all_drop-base'])


def test_both_are_the_protocols_of_papers(evaluate):
    (rows,) = evaluate('ann.json', 'good.json', '--protocol', 'both')[
        1
    ].values()
    assert list(rows) == ['all_drop-base', 'all_exclude-base']


@pytest.mark.parametrize('arguments, change, message', [
    ('ann.json good.json --partition vox', {}, "unknown partition 'vox'"),
    ('ann.json good.json --partition person,dgo', {},
     'ann.json: no class named dgo'),
    ('ann.json good.json --partition shapes', {},
     "ann.json: partition 'shapes' needs"),
    ('ann.json bad.json', dict(image_id=99),
     'bad.json: 1 images are not in the annotation .* 99'),
    ('ann.json bad.json', dict(score=float('nan')),
     r'bad.json: image 6: proposal 1 \(row 25\)'),
    ('ann.json bad.json', dict(bbox=[0, 0, -3, 4]),
     r'bad.json: image 6: proposal 1 \(row 25\)'),
    ('ann.json gone.json', {}, 'gone.json: no such proposal file'),
    ('no.json good.json', {}, 'no annotation file no.json'),
    ('half.json good.json', {}, 'half.json is not a COCO annotation file'),
    ('bare.json good.json', {}, r'bare.json: annotations.*category_id'),
    ('ann.json good.json --style lvis --class-wise', {},
     'ann.json: not an LVIS annotation file'),
])  # fmt: skip
def test_wrong_input_gets_one_message(
    files, evaluate, arguments, change, message
):
    annotations, folder = files
    rows = json.loads((folder / 'good.json').read_text())
    rows[25].update(change)
    (folder / 'bad.json').write_text(json.dumps(rows))
    text = json.dumps(annotations)
    (folder / 'half.json').write_text(text[: len(text) // 2])
    del annotations['annotations'][0]['category_id']
    (folder / 'bare.json').write_text(json.dumps(annotations))
    with pytest.raises(SystemExit, match='error: .*' + message) as error:
        evaluate(*arguments.split())
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'options', ['--k 0', '--k x', '--split novel', 'good.json good.json']
)
def test_wrong_usage(evaluate, options, capsys):
    with pytest.raises(SystemExit) as error:
        evaluate('ann.json', 'good.json', *options.split())
    assert error.value.code == 2
    assert 'Traceback' not in capsys.readouterr().err


def test_folder_that_cannot_be_written(files, evaluate):
    (files[1] / 'out').write_text('a file')
    with pytest.raises(SystemExit, match='error: cannot write .*out'):
        evaluate('ann.json', 'good.json')


def test_published_numbers_class_wise(evaluate, shared_dir):
    folder = shared_dir / 'data/evaluator'
    printed, written = evaluate(
        folder / 'instances_val2014_100.json',
        folder / 'instances_val2014_fakebbox100_results.json',
        '--class-wise',
    )
    (rows,) = written.values()
    numbers = rows['all_class-wise']
    keys = 'AP AP50 AP75 AR@1 AR@10 AR@100 AR_s@100 AR_m@100 AR_l@100'
    expected = [0.505, 0.697, 0.573, 0.387, 0.594, 0.595, 0.640, 0.566, 0.564]
    assert [round(numbers[key], 3) for key in keys.split()] == expected
    assert 'AP50' in printed and '0.6970' in printed


def test_starts_without_torch_and_mmdet(files):
    """It also ends without them, on files of COCO results."""
    folder = files[1]
    code = (
        f'import runpy, sys; sys.argv = ["", "ann.json", "good.json"]; '
        f'runpy.run_path({str(TOOL)!r}, run_name="__main__"); '
        'print(sorted({"torch", "mmdet", "mmengine", "matplotlib"} '
        '& set(sys.modules)))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        cwd=folder,
        env=dict(os.environ, PYTHONPATH=str(REPO)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == '[]'
    assert (folder / 'work_dirs/eval_proposals/recall.csv').exists()
