"""The table of several test runs."""

import json
import runpy
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/metrics_table.py'


@pytest.fixture
def table(monkeypatch, capsys):

    def call(*rows):
        monkeypatch.setattr('sys.argv', ['metrics_table.py', *rows])
        runpy.run_path(str(TOOL), run_name='__main__')
        lines = capsys.readouterr().out.splitlines()
        return [
            [cell.strip() for cell in line.split('|')[1:-1]] for line in lines
        ]

    return call


def write(folder, time, **metrics):
    (folder / time).mkdir(parents=True)
    (folder / time / f'{time}.json').write_text(json.dumps(metrics))


def test_percent_mean_and_deviation(table, tmp_path):
    key = 'novel_drop-base/AR@100'
    write(tmp_path / 'a', '20260101_000000', **{key: 0.9})
    write(tmp_path / 'a', '20260102_000000', **{key: 0.1})  # the newest counts
    write(tmp_path / 'b', '20260101_000000', **{key: 0.3})
    a, b = tmp_path / 'a', tmp_path / 'b'
    heading, _, both, one = table(f'both={a},{b}', f'k=1={b}')
    column = heading.index('novel AR@100 (drop-base)')
    assert (both[0], both[column]) == ('both', '20.0 ± 14.1')
    assert (one[0], one[column]) == ('k=1', '30.0')
    assert set(one[1:]) == {'-', '30.0'}


def test_columns_of_the_recipes(table, tmp_path):
    write(
        tmp_path,
        '20260101_000000',
        **{
            'base_class-wise/AP': 0.46,
            'base_class-wise/AR@10': 0.58,
            'base_class-wise/AR@100': 0.63,
            'novel_drop-base/AP': 0.014,
            'novel_drop-base/AR@10': 0.11,
            'novel_drop-base/AR@100': 0.27,
        },
    )
    heading, _, row = table('--columns', 'recipes', f'joint={tmp_path}')
    assert heading == [
        '',
        'base AP',
        'base AR@10',
        'base AR@100',
        'novel AP',
        'novel AR@10',
        'novel AR@100',
    ]
    assert row == ['joint', '46.0', '58.0', '63.0', '1.4', '11.0', '27.0']


@pytest.mark.parametrize('partition', ['lvis-id', 'lvis-count'])
def test_columns_of_lvis(table, tmp_path, partition):
    write(
        tmp_path,
        '20260101_000000',
        **{
            f'{partition}_base_class-wise/AP': 0.18,
            f'{partition}_base_class-wise/AR@300': 0.27,
            f'{partition}_novel_drop-base/AP': 0.02,
            f'{partition}_novel_drop-base/AR@300': 0.39,
            f'{partition}_novel_exclude-base/AR@300': 0.4,
        },
    )
    rows = [f'joint={tmp_path}']
    assert table('--columns', partition, *rows)[2] == [
        'joint',
        '18.0',
        '27.0',
        '2.0',
        '39.0',
        '40.0',
    ]
    (other,) = {'lvis-id', 'lvis-count'} - {partition}
    assert set(table('--columns', other, *rows)[2][1:]) == {'-'}


def test_run_without_metrics(table, tmp_path):
    with pytest.raises(SystemExit, match='none: no metrics here; run tools'):
        table(f'row={tmp_path}/none')
    with pytest.raises(SystemExit):
        table('row')
