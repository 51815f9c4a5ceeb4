"""The tool that judges files of proposals."""

import csv
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmdet_owp.partitions import COCO_NON_VOC, COCO_VOC, LVIS
from mmdet_owp.recall import GroundTruth, Proposals, RecallEvaluator

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
def tool(files, monkeypatch, capsys):
    """Call it; returns what it prints and the numbers it writes."""
    folder = files[1]

    def call(*arguments):
        words = [
            str(folder / a) if (folder / str(a)).exists() else str(a)
            for a in arguments
        ]
        monkeypatch.setattr(
            'sys.argv',
            ['eval_proposals.py', *words, '--out', str(folder / 'out')],
        )
        runpy.run_path(str(TOOL), run_name='__main__')
        return (
            capsys.readouterr().out,
            json.loads((folder / 'out/recall.json').read_text()),
        )

    return call


def test_numbers_are_those_of_the_engine(files, tool):
    annotations, folder = files
    printed, written = tool(
        'ann.json',
        'good.json',
        '--partition',
        'voc',
        '--split',
        'novel',
        'base',
        '--k',
        1,
        5,
        10,
    )
    rows = json.loads((folder / 'good.json').read_text())
    truth = GroundTruth.from_coco(annotations)
    judge = RecallEvaluator(
        truth,
        Proposals.from_rows(
            truth.image_ids,
            [r['image_id'] for r in rows],
            [r['bbox'] for r in rows],
            [r['score'] for r in rows],
        ),
    )
    numbers = written[str(folder / 'good.json')]
    assert list(numbers) == [
        f'{s}_{p}'
        for s in ('novel', 'base')
        for p in ('drop-base', 'exclude-base')
    ]
    for split, classes in (('novel', COCO_NON_VOC), ('base', COCO_VOC)):
        for protocol in ('drop-base', 'exclude-base'):
            found = judge.evaluate(classes, protocol, (1, 5, 10))
            expected = {**found.metrics(), **found.details(classes)}
            np.testing.assert_equal(numbers[f'{split}_{protocol}'], expected)
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


def test_partition_of_lvis_stands_in_the_names(files, tool):
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
    (numbers,) = tool(
        'ann.json',
        'good.json',
        '--partition',
        'lvis-count',
        '--split',
        'novel',
        'base',
        '--details',
    )[1].values()
    for protocol in ('drop-base', 'exclude-base'):
        novel = numbers[f'lvis-count_novel_{protocol}']
        base = numbers[f'lvis-count_base_{protocol}']
        # Recall by class is of the classes of its side.
        assert 'AR@100/tongs' in novel and 'AR@100/tongs' not in base
        assert 'AR@100/ring' in base and 'AR@100/ring' not in novel
        assert novel['AR@10'] > 0.5
    (numbers,) = tool(
        'ann.json',
        'good.json',
        '--partition',
        'lvis-id',
        '--class-wise',
        '--style',
        'lvis',
    )[1].values()
    assert set(numbers) == {'lvis-id_novel_class-wise'}


def test_two_files_are_compared(files, tool):
    printed, written = tool(
        'ann.json',
        'worse.json',
        'good.json',
        '--partition',
        'voc',
        '--protocol',
        'drop-base',
    )
    both = written['difference']['novel_drop-base/AR@10']
    assert both['first'] < both['second']
    assert both['difference'] == both['second'] - both['first']
    assert 0 < both['low'] < both['difference'] < both['high']
    assert 'paired bootstrap over images, 1000 resamples, seed 0' in printed


def test_base_classes_by_name_or_id(tool):
    by_name = tool('ann.json', 'good.json', '--partition', 'person,car')[1]
    by_id = tool('ann.json', 'good.json', '--partition', '3,1')[1]
    np.testing.assert_equal(by_name, by_id)
    (rows,) = by_name.values()
    assert {k for k in rows['novel_drop-base'] if k.startswith('AR@100/')} == {
        f'AR@100/{name}' for name in ('truck', 'dog', 'kite')
    }


def test_without_a_partition_all_classes_count(tool):
    (rows,) = tool('ann.json', 'good.json', '--details')[1].values()
    assert set(rows) == {'all_drop-base', 'all_exclude-base'}
    np.testing.assert_equal(*rows.values())


@pytest.mark.parametrize(
    'partition, message',
    [
        ('vox', "unknown partition 'vox'"),
        ('person,dgo', 'ann.json: no class named dgo'),
        ('shapes', "ann.json: partition 'shapes' needs"),
    ],
)
def test_wrong_partitions_are_named(tool, partition, message):
    with pytest.raises(SystemExit, match=message) as error:
        tool('ann.json', 'good.json', '--partition', partition)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'change, message',
    [
        (
            dict(image_id=99),
            'bad.json: 1 images are not in the annotation .* 99',
        ),
        (
            dict(score=float('nan')),
            r'bad.json: image 6: proposal 1 \(row 25\)',
        ),
        (
            dict(bbox=[0, 0, -3, 4]),
            r'bad.json: image 6: proposal 1 \(row 25\)',
        ),
    ],
)
def test_wrong_proposals_are_named(files, tool, change, message):
    folder = files[1]
    rows = json.loads((folder / 'good.json').read_text())
    rows[25].update(change)
    (folder / 'bad.json').write_text(json.dumps(rows))
    with pytest.raises(SystemExit, match=message) as error:
        tool('ann.json', 'bad.json', '--partition', 'voc')
    assert '\n' not in str(error.value)
    with pytest.raises(SystemExit, match='gone.json: no such file'):
        tool('ann.json', 'gone.json', '--partition', 'voc')
    with pytest.raises(SystemExit, match='no annotation file no.json'):
        tool('no.json', 'bad.json', '--partition', 'voc')


def test_published_numbers_class_wise(tool, shared_dir):
    folder = shared_dir / 'data/evaluator'
    printed, written = tool(
        folder / 'instances_val2014_100.json',
        folder / 'instances_val2014_fakebbox100_results.json',
        '--class-wise',
    )
    (rows,) = written.values()
    numbers = rows['all_class-wise']
    assert [
        round(numbers[key], 3)
        for key in (
            'AP',
            'AP50',
            'AP75',
            'AR@1',
            'AR@10',
            'AR@100',
            'AR_s@100',
            'AR_m@100',
            'AR_l@100',
        )
    ] == [0.505, 0.697, 0.573, 0.387, 0.594, 0.595, 0.640, 0.566, 0.564]
    assert 'AP50' in printed and '0.6970' in printed


def test_starts_without_torch_and_mmdet(files):
    """Also to the end, with files of COCO results."""
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
