"""The table of masked background and the sweep of Fig. 6."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

TOOLS = Path(__file__).parents[2] / 'tools/analysis_tools'
AP, AR = 'base_class-wise/AP', 'novel_drop-base/AR@100'


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


class Ended:
    """A process that has ended."""

    def __init__(self, status):
        self.returncode = status

    def poll(self):
        return self.returncode


@pytest.fixture
def stand_in(monkeypatch):
    """Replace trainings by a function of folder, options and start.

    Return the list of the commands that are run.
    """
    monkeypatch.setattr('mmdet_owp.reproduction.jobs._POLL', 0)
    commands = []

    def replace(train):
        def run(command, **_):
            commands.append(command)
            options = dict(word.split('=') for word in command if '=' in word)
            folder = Path(command[command.index('--work-dir') + 1])
            start = float(options['model.bbox_head.loss_cls.start_iter'])
            return Ended(train(folder, options, start))

        monkeypatch.setattr('subprocess.Popen', run)
        return commands

    return replace


def test_sweep(tool, stand_in, write_log, tmp_path, pictures):
    def train(folder, options, start):
        if 'fail' in options and start > 0.5:
            return 1
        write_log(
            folder,
            {AP: 0.9, AR: 0.9, 'step': 1},
            step(50, 0.015, 0.98),
            {AP: start / 10, AR: start, 'step': 3},
        )
        return 0

    trainings = stand_in(train)
    configs = ['configs/x_joint_unknown.py', 'configs/x_finetune_unknown.py']
    arguments = (*configs, '--work-dir', tmp_path, '--seed', 3)
    status, table = tool(
        'sweep_unknown.py', *arguments, '--cfg-options', 'fail=1'
    )
    # The other runs went on.
    assert len(trainings) == 16
    assert status == 'error: 4 of 16 runs failed; call again to resume them'
    assert len(table) == 1 + 12

    del trainings[:]
    status, table = tool('sweep_unknown.py', *arguments)
    assert status is None
    assert len(trainings) == 4
    for command in trainings:
        assert Path(command[1]).samefile(TOOLS.parent / 'train.py')
        assert '--resume' in command and 'randomness.seed=3' in command
        options = dict(word.split('=') for word in command if '=' in word)
        start = float(options['model.bbox_head.loss_cls.start_iter'])
        assert round(start * 90000) == 60000
    settings = {tuple(row[:3]) for row in table[1:]}
    assert settings == {
        (name, threshold, f'{start}/90')
        for name in ('x_joint_unknown', 'x_finetune_unknown')
        for threshold in ('0.925', '0.95')
        for start in (5, 10, 30, 60)
    }
    for row in table[1:]:
        part = 100 * int(row[2].split('/')[0]) / 90
        assert row[3:] == [f'{part / 10:.1f}', f'{part:.1f}', '1.5']
    assert cv2.imread(str(tmp_path / 'fig6.png')).std() > 10
    panels = pictures[-1].axes
    assert [panel.get_title() for panel in panels] == [
        f'{name}, threshold {threshold}'
        for threshold in (0.925, 0.95)
        for name in ('base AP (class-wise)', 'novel AR@100 (drop-base)')
    ]
    for panel, factor in zip(panels, (10, 1, 10, 1)):
        for line in panel.lines:
            x, y = line.get_data()
            assert list(x) == [5, 10, 30, 60]
            assert y == pytest.approx(x / 0.9 / factor)
        assert len(panel.lines) == 2

    del trainings[:]
    assert tool('sweep_unknown.py', *arguments)[0] is None
    assert not trainings


def test_run_without_validation_is_not_finished(tool, stand_in, tmp_path):
    stand_in(lambda *_: 0)
    status, table = tool('sweep_unknown.py', 'c.py', '--work-dir', tmp_path)
    assert status.startswith('error: 8 of 8 runs failed') and not table
    (tmp_path / 'file').write_text('')
    words = 'c.py', '--work-dir', tmp_path / 'file'
    status, _ = tool('sweep_unknown.py', *words)
    assert status == f'error: cannot write {words[-1]}: File exists'


def test_sweep_of_table_4(tool, stand_in, write_log, tmp_path, pictures):
    """Other starts, including 0, and other metrics."""
    names = [
        f'lvis-id_{kind}/{quantity}'
        for kind in ('base_class-wise', 'novel_drop-base')
        for quantity in ('AP', 'AR@300')
    ]

    def train(folder, options, start):
        assert options['model.bbox_head.loss_cls.threshold'] == '0.95'
        metrics = {name: n + start / 100 for n, name in enumerate(names)}
        write_log(folder, step(50, 0.01, 0.98), metrics)
        return 0

    stand_in(train)
    status, table = tool(
        'sweep_unknown.py',
        'x_area_lvis.py',
        '--work-dir',
        tmp_path,
        *'--thresholds 0.95 --starts 0 5 10 60 --metrics'.split(),
        *names,
    )
    assert status is None
    assert table[0][3:-1] == names
    assert [row[2:-1] for row in table[1:]] == [
        [f'{start}/90', *(f'{100 * n + start / 90:.1f}' for n in range(4))]
        for start in (0, 5, 10, 60)
    ]
    panels = pictures[-1].axes
    assert len(panels) == 4
    assert list(panels[3].lines[0].get_xdata()) == [0, 5, 10, 60]
