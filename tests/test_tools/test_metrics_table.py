"""The table of several test runs."""

import json
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/metrics_table.py'


@pytest.fixture
def table(capsys, call_tool, cells):
    """Call the tool; return its exit status and the cells of its table."""

    def call(*words):
        status = call_tool(TOOL, *words)
        return status, cells(capsys.readouterr().out)

    return call


def write(folder, metrics, time='20260101_000000'):
    (folder / time).mkdir(parents=True)
    (folder / time / f'{time}.json').write_text(json.dumps(metrics))


def test_percent_mean_and_deviation(table, tmp_path):
    key = 'novel_drop-base/AR@100'
    a, b = tmp_path / 'a', tmp_path / 'b'
    write(a, {key: 0.9})
    write(a, {key: 0.1}, '20260102_000000')  # the newest counts
    write(b, {key: 0.3})
    status, (heading, both, one) = table(f'both={a},{b}', f'k=1={b}')
    assert status is None
    column = heading.index('novel AR@100 (drop-base)')
    assert (both[0], both[column]) == ('both', '20.0 ± 14.1')
    assert (one[0], one[column]) == ('k=1', '30.0')
    assert set(one[1:]) == {'-', '30.0'}


PROPOSALS = {
    'base_class-wise/AP': ('base AP (class-wise)', 0.46, '46.0'),
    'base_drop-base/AR@100': ('base AR@100 (class-agnostic)', 0.5, '50.0'),
    'novel_drop-base/AR@10': ('novel AR@10 (drop-base)', 0.11, '11.0'),
    'novel_drop-base/AR@100': ('novel AR@100 (drop-base)', 0.27, '27.0'),
    'novel_oln/AR@10': ('novel AR@10 (oln)', 0.12, '12.0'),
    'novel_oln/AR@100': ('novel AR@100 (oln)', 0.3, '30.0'),
}
RECIPES = {
    'base_class-wise/AP': ('base AP (class-wise)', 0.46, '46.0'),
    'base_class-wise/AR@10': ('base AR@10 (class-wise)', 0.58, '58.0'),
    'base_class-wise/AR@100': ('base AR@100 (class-wise)', 0.63, '63.0'),
    'novel_drop-base/AP': ('novel AP (drop-base)', 0.014, '1.4'),
    'novel_drop-base/AR@10': ('novel AR@10 (drop-base)', 0.11, '11.0'),
    'novel_drop-base/AR@100': ('novel AR@100 (drop-base)', 0.27, '27.0'),
}
LVIS = {
    'base_class-wise/AP': ('base AP (class-wise)', 0.18, '18.0'),
    'base_class-wise/AR@300': ('base AR@300 (class-wise)', 0.27, '27.0'),
    'novel_drop-base/AP': ('novel AP (drop-base)', 0.02, '2.0'),
    'novel_drop-base/AR@300': ('novel AR@300 (drop-base)', 0.39, '39.0'),
    'novel_oln/AR@300': ('novel AR@300 (oln)', 0.4, '40.0'),
}


@pytest.mark.parametrize('columns, expected', [
    ('proposals', PROPOSALS),
    ('recipes', RECIPES),
    ('lvis-id', LVIS),
    ('lvis-count', LVIS),
])  # fmt: skip
def test_columns(table, tmp_path, columns, expected):
    prefix = f'{columns}_' if expected is LVIS else ''
    write(tmp_path, {f'{prefix}{k}': v for k, (_, v, _) in expected.items()})
    row = f'joint={tmp_path}'
    _, (heading, found) = table('--columns', columns, row)
    assert heading == ['', *(title for title, _, _ in expected.values())]
    assert found == ['joint', *(text for _, _, text in expected.values())]
    if prefix:
        other = {'lvis-id': 'lvis-count', 'lvis-count': 'lvis-id'}[columns]
        _, (_, found) = table('--columns', other, row)
        assert set(found[1:]) == {'-'}


def test_bad_input(table, tmp_path):
    status, _ = table(f'row={tmp_path}/none')
    assert status.startswith(f'error: {tmp_path}/none: no metrics here; run')
    write(tmp_path, {})
    (path,) = tmp_path.glob('*/*.json')
    path.write_text('{"a')
    status, _ = table(f'row={tmp_path}')
    assert status.startswith(f'error: {path}: not a file of metrics')
    assert table('row')[0] == 2
