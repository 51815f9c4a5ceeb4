"""The table of masked background."""

from __future__ import annotations

from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools/analysis_tools'
AR = 'novel_drop-base/AR@100'


@pytest.fixture
def tool(capsys, call_tool, cells):
    """Call a tool; return its exit status and the cells of its table."""

    def call(name, *words):
        status = call_tool(TOOLS / name, *words)
        return status, cells(capsys.readouterr().out)

    return call


def step(step, masked, seen):
    names = 'loss', 'step', 'masked_background', 'background_objectness_max'
    return dict(zip(names, (1.0, step, masked, seen)))


def test_masked_share(tool, write_log, tmp_path):
    # Killed while writing, and resumed from the validated step.
    some = write_log(
        tmp_path / 'some',
        step(50, 0.0, 0.8),
        step(100, 0.02, 0.97),
        {AR: 0.2, 'step': 2},
        step(150, 0.9, 0.9),
        end='{"loss": 1',
    )
    write_log(some, step(150, 0.04, 0.96), time='20260101_010000')
    none = write_log(
        tmp_path / 'none', step(50, 0.0, 0.91), step(100, 0.0, 0.9)
    )
    status, table = tool('masking_table.py', f'a={some}', f'b={none}')
    assert status is None
    assert table[1:] == [
        ['a', '2', '0.9700'],
        ['b', 'not tested: nothing was masked', '0.9100'],
    ]


def test_masking_table_with_bad_input(tool, write_log, tmp_path):
    status, _ = tool('masking_table.py', f'a={tmp_path}/none')
    assert status.startswith(f'error: {tmp_path}/none: no training log')
    write_log(tmp_path, dict(loss=1.0, step=50))
    status, _ = tool('masking_table.py', f'a={tmp_path}')
    assert 'the config must use UnknownMaskFocalLoss' in status
    status, _ = tool('masking_table.py', 'a=b,c')
    assert status.startswith('error: a=b,c: a row is one folder')
    assert tool('masking_table.py', 'a,b')[0] == 2
