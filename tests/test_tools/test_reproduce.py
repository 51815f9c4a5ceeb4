"""Planning, running and printing a table of the paper."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import signal
import time
from pathlib import Path

import cv2
import pytest
import torch

from mmdet_owp.errors import UserError
from mmdet_owp.reproduction.logs import read_metrics
from mmdet_owp.reproduction.paper_tables import TABLES
from mmdet_owp.reproduction.planner import share_devices
from mmdet_owp.shapes.dataset import make_shapes

TOOL = Path(__file__).parents[2] / 'tools/reproduce.py'
# As tests/conftest.py makes configs tiny.
TINY = (
    'model.backbone.base_channels=8',
    'model.backbone.norm_eval=True',
    'model.neck.in_channels=[8,16,32]',
    'model.neck.out_channels=16',
    'model.bbox_head.in_channels=16',
    'model.bbox_head.feat_channels=16',
    'model.bbox_head.stacked_convs=1',
    'model.bbox_head.norm_cfg.num_groups=4',
    'train_dataloader.batch_size=2',
)


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path, call_tool):
    """Call the tool in this process; return its exit status and output."""
    monkeypatch.setenv('SHAPES', str(tmp_path / 'none'))

    def call(*words):
        folders = (
            *('--work-dir', tmp_path / 'work'),
            *('--runs', tmp_path / 'runs'),
        )
        status = call_tool(TOOL, *folders, *words)
        return status, capsys.readouterr().out

    return call


@pytest.fixture
def rows(monkeypatch):
    """Keep only the rows of a table with these labels."""

    def leave(number, *labels):
        table = TABLES[number]
        kept, beyond = (
            tuple(row for row in rows if row.label in labels)
            for rows in (table.rows, table.beyond)
        )
        assert len(kept) + len(beyond) == len(labels)
        some = table._replace(rows=kept, beyond=beyond)
        monkeypatch.setitem(TABLES, number, some)

    return leave


def test_dry_run_of_table_3(tool, rows, tmp_path):
    rows(3, 'joint', 'finetune fb')
    table = ('--table', 3, '--data', 'coco', '--gpus', 8, '--dry-run')
    status, output = tool(*table, '--seeds', 1, 0, '--seconds-per-iter', 0.5)
    assert status is None and not (tmp_path / 'work').exists()
    commands = [
        shlex.split(line)
        for line in output.splitlines()
        if not line.startswith('#')
    ]
    # Two rows and the proposer that one of them starts from; two seeds.
    assert len(commands) == 2 * 3 * 2
    trainings = [c for c in commands if c[2].endswith('dist_train.sh')]
    assert [Path(c[3]).stem for c in trainings[:3]] == [
        'fcos_iou_cs_is_coco',
        'fcos_iou_cs_is_coco',
        'fcos_iou_cs_is_joint_coco',
    ]
    for command in trainings:
        folder = Path(command[command.index('--work-dir') + 1])
        name, seed = folder.name.split('_seed')
        assert Path(command[3]).stem == name
        assert f'randomness.seed={seed}' in command
        starts = [w for w in command if w.startswith('load_from=')]
        if 'joint' in name or name == 'fcos_iou_cs_is_coco':
            assert not starts
        else:
            (start,) = starts
            last = f'fcos_iou_cs_is_coco_seed{seed}/iter_90000.pth'
            assert start.endswith(last)
    hours = 6 * 90000 * 0.5 / 3600
    assert output.splitlines()[-1].startswith(
        f'# in all: {hours:.2f} h of training ({8 * hours:.1f} GPU hours), '
        f'{hours:.2f} h with 1 side by side'
    )
    rows(3, 'joint')
    _, output = tool(*table)
    assert 'in all: unknown time; 1 runs' in output


def test_dry_run_of_other_tables(tool, rows):
    rows(1, 'OWP: centerness', 'OWP: IoU-CS-IS')
    _, output = tool('--table', 1, '--data', 'lvis', '--dry-run')
    assert '# OWP: centerness: no config fcos_centerness_lvis.py' in output
    rows(4, 'areas from 0k', 'areas from 60k')
    _, output = tool('--table', 4, '--data', 'coco-mini', '--dry-run')
    starts = [
        float(word.split('=')[1]) * 90
        for word in output.split()
        if word.startswith('model.bbox_head.loss_cls.start_iter=')
    ]
    assert starts == pytest.approx([0, 0, 60, 60])


def test_bad_input(tool, rows, monkeypatch):
    rows(1, 'OWP: IoU')
    monkeypatch.setenv('COCO_ROOT', '/none')
    status, _ = tool('--table', 1, '--data', 'coco', '--gpus', 0)
    assert status.startswith('error: /none/annotations/')
    assert 'COCO_ROOT' in status and '\n' not in status
    status, _ = tool('--table', 1, '--data', 'coco', '--gpus', 3)
    assert 'cannot be shared by 3 GPUs' in status
    status, _ = tool('--table', 1, '--data', 'coco', '--cfg-options', 'lr')
    assert status == 'error: --cfg-options lr: must be KEY=VALUE'
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,5')
    status, _ = tool('--table', 1, '--data', 'coco', '--gpus', 2, '--jobs', 2)
    assert status == (
        'error: 2 runs of 2 GPUs need 4, and there are 2; --gpus 0 is the CPU'
    )
    assert tool('--table', 5, '--data', 'coco')[0] == 2
    assert tool('--table', 1, '--data', 'coco', '--jobs', 0)[0] == 2


def test_machine_is_shared_out(monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,5,6,7')
    assert share_devices(2, 2) == [
        dict(CUDA_VISIBLE_DEVICES='4,5'),
        dict(CUDA_VISIBLE_DEVICES='6,7'),
    ]
    monkeypatch.setattr(
        'os.sched_getaffinity', lambda pid: range(8), raising=False
    )
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    threads = [slot['OMP_NUM_THREADS'] for slot in share_devices(0, 2)]
    assert threads == ['4', '4']
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    with pytest.raises(UserError, match='there are 0'):
        share_devices(1, 1)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    assert share_devices(1, 2)[1] == dict(CUDA_VISIBLE_DEVICES='1')


# Run the tool (second argument) for some rows of Table 3 (first argument).
SOME_ROWS = """
import runpy, sys
sys.argv.pop(0)
from mmdet_owp.reproduction.paper_tables import TABLES
names = sys.argv.pop(0).split(',')
rows = tuple(row for row in TABLES[3].rows if row.label in names)
TABLES[3] = TABLES[3]._replace(rows=rows)
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.fixture
def data(tmp_path):
    """Make tiny built-in data where the tool looks for them."""
    for name in ('shapes', 'shapes_unseen'):
        make_shapes(tmp_path / name, num_train=6, num_val=3, size=64)
    return tmp_path / 'shapes'


@pytest.mark.slow
def test_interrupted_table_goes_on(
    start, tool, rows, data, monkeypatch, repo, tmp_path, cells
):
    """Train a proposer and a row that starts from it; Ctrl-C in between."""
    environment = dict(
        SHAPES=str(data), PYTHONPATH=str(repo), OMP_NUM_THREADS='1'
    )
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    work = tmp_path / 'work'
    proposer = work / 'fcos_iou_cs_is_shapes_seed0'
    row = work / 'fcos_iou_cs_is_frozen_fb_shapes_seed0'

    words = '--table 3 --data shapes --gpus 0 --cfg-options'.split()
    words += [*TINY, 'train_cfg.max_epochs=1']
    folders = '--work-dir', work, '--runs', tmp_path / 'runs'
    process = start(
        *('python -c', SOME_ROWS, 'frozen fb', TOOL, *folders, *words),
        **environment,
    )
    deadline = time.monotonic() + 300
    while not (proposer / 'last_checkpoint').exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=30)[0]
    assert process.returncode == 130
    assert output.endswith('stopped; the same command goes on\n')
    assert not row.exists() and not (proposer / 'done').exists()

    checkpoint = proposer / 'epoch_1.pth'
    before = checkpoint.stat().st_mtime_ns
    rows(3, 'frozen fb')
    status, output = tool(*words)
    assert status is None, output
    assert checkpoint.stat().st_mtime_ns == before
    assert f'{row.name}: train' in output
    metrics = read_metrics(row / 'test')
    # Frozen: it started from that very checkpoint.
    recalls = {
        name: value
        for name, value in read_metrics(proposer / 'test').items()
        if 'AR@' in name and not math.isnan(value)
    }
    assert recalls == {name: metrics[name] for name in recalls}
    assert max(recalls.values()) > 0
    text = (work / 'table3_shapes/table.md').read_text()
    assert 'Paper: COCO; measured: built-in data' in text
    _, (label, *numbers) = cells(text)
    assert label == 'frozen fb'
    for cell, metric in zip(numbers, TABLES[3].metrics):
        assert cell.split(' / ')[1] == f'{100 * metrics[metric]:.1f}'
    assert cv2.imread(str(work / 'table3_shapes/table.png')).std() > 10

    _, output = tool('--dry-run', *words)
    assert [line for line in output.splitlines() if 'seed0' in line] == [
        f'# {proposer.name}: finished',
        f'# {row.name}: finished',
    ]


@pytest.fixture
def stand_in(monkeypatch, data):
    """Replace trainings and tests; return the list of their commands."""
    commands = []

    def run(command, stdout, **_):
        commands.append(command)
        return Ended(command, stdout)

    monkeypatch.setenv('SHAPES', str(data))
    monkeypatch.setattr('mmdet_owp.reproduction.jobs._POLL', 0)
    module = 'mmdet_owp.reproduction.training_run'
    monkeypatch.setattr(f'{module}.commit', lambda root: 'abc1234')
    monkeypatch.setattr('subprocess.Popen', run)
    return commands


def test_failing_row_is_reported(
    tool, rows, stand_in, tmp_path, monkeypatch, cells
):
    """Other rows go on; the table has the results so far."""
    rows(2, 'OWP-aware: joint', 'OWP-aware: joint + unknown')
    monkeypatch.setattr(Ended, 'fails', 'is_joint_shapes')
    status, output = tool('--table', 2, '--data', 'shapes', '--gpus', 0)
    assert status == 'error: 1 of 2 runs failed; call again to resume them'
    folder = tmp_path / 'work/fcos_iou_cs_is_joint_shapes_seed0'
    assert (
        f'- {folder.name} failed: CUDA is on fire (exit status 1; '
        f'all of its output: {folder}/output.log)'
    ) in output
    _, joint, unknown = cells(output)
    assert joint[:2] == ['OWP-aware: joint', '18.84 / - / -']
    assert unknown[:2] == ['OWP-aware: joint + unknown', '18.56 / 25.0 / +6.4']


def test_results_on_file_count_as_finished(tool, rows, stand_in, tmp_path):
    """On another machine, without the work folder and its paths."""
    label = 'OWP-aware: logits * IoU-CS-IS (finetune)'
    rows(1, 'OWP: IoU-CS-IS', label)
    words = '--table 1 --data shapes --gpus 0 --amp --channels-last'.split()
    status, _ = tool(*words, '--tta', '--rows', 'fcos_iou_cs_is')
    assert status is None and len(stand_in) == 3
    train, test, tta = stand_in
    position = train.index('--cfg-options')
    assert train[position - 2 : position] == ['--amp', '--channels-last']
    assert '--tta' in tta and not {'--tta', '--amp'} & set(test)
    (file,) = (tmp_path / 'runs/shapes').iterdir()
    assert str(tmp_path) not in file.read_text()
    results = json.loads(file.read_text())
    assert set(results['tests']) == {'test', 'test_tta'}
    assert results['commit'] == 'abc1234'
    assert results['tests']['test']['hits']['novel']['10'] == [3, 9]

    # Its checkpoint is missing: it is trained again for the row that starts
    # from it, but not tested again.
    shutil.rmtree(tmp_path / 'work')
    del stand_in[:]
    assert tool(*words, '--rows', 'fcos_iou_cs_is')[0] is None
    assert not stand_in
    # A report has its results nevertheless.
    report = tmp_path / 'page.md'
    assert tool(*words, '--report', report)[0] is None
    assert report.read_text().count('/ 50.0 /') == 1
    before = file.read_text()
    assert tool(*words)[0] is None
    tools = [Path(command[1]).stem for command in stand_in]
    assert tools == ['train', 'train', 'test']
    assert file.read_text() == before

    # Once all results are on file, nothing is trained again.
    shutil.rmtree(tmp_path / 'work')
    del stand_in[:]
    assert tool(*words, '--report', report)[0] is None
    assert tool(*words)[0] is None and not stand_in
    assert report.read_text().count('/ 50.0 /') == 2
    # A test that one run lacks does not hide its others.
    lacking = file.with_name('fcos_iou_cs_is_finetune_shapes_seed0.json')
    content = lacking.read_text()
    assert tool(*words, '--tta', '--report', report)[0] is None
    assert report.read_text().count('/ 50.0 /') == 2
    assert lacking.read_text() == content
    status, output = tool(*words[:-1], '--dry-run')
    assert status is None
    assert 'finetune_shapes_seed0.json was made with other settings' in output
    assert 'flags.1 was ' in output and '--runs' in output
    assert output.count('iterations left') == 2
    # A run with other options is another run, and leaves the file alone.
    status, output = tool(*words[:-1], '--report', report)
    assert status is None and output.count('neither used nor replaced') == 2
    assert '/ 50.0 /' not in report.read_text()
    status, output = tool(*words[:-1])
    assert status is None and len(stand_in) == 4
    assert output.count('/ 50.0 /') == 2
    assert file.read_text() == before


def test_row_of_another_test(tool, rows, stand_in, tmp_path, cells):
    """One training of FCOS, ranked twice; differences with intervals."""
    first, second = 'Baseline: ranked by centerness alone', 'OWP: IoU-CS-IS'
    rows(1, 'Baseline: logits * centerness', first, second)
    status, output = tool('--table', 1, '--data', 'shapes', '--gpus', 0)
    assert status is None
    names = [Path(c[c.index('--work-dir') + 1]).name for c in stand_in]
    assert sorted(names)[2:] == ['test', 'test', 'test_objectness']
    assert 'model.bbox_head.proposal_score=objectness' in sum(stand_in, [])
    details = output[output.index('## Beyond') :]
    assert f'| {first}' in details
    (difference,) = (x for x in details.split('\n') if f'− {first}' in x)
    # The same hits: no difference in any draw.
    assert '+0.0 [+0.0, +0.0]' in difference
    assert difference.endswith('| 1     |')

    # Rows are compared by the tests and seeds that both have.
    words = '--table 1 --data shapes --gpus 0 --tta --rows fcos_iou_cs_is'
    status, _ = tool(*words.split(), '--seeds', 0, 1)
    assert status is None
    report = tmp_path / 'page.md'
    status, _ = tool(*words.split(), '--seeds', 0, 1, '--report', report)
    text = report.read_text()
    assert status is None and 'training seeds 0, 1.' in text
    one, several = text.split('### Several views')
    assert f'| {first}' in one and f'| {first}' not in several.split('###')[0]
    differences = [x for x in several.split('\n') if '−' in x]
    assert len(differences) == 2
    assert all(x.endswith('| 1     |') for x in differences)
    assert 'One view:' in several and 'Several views:' not in several


def test_unknown_rows(tool):
    status, _ = tool('--table', 3, '--data', 'shapes', '--rows', 'fcos_iu')
    assert status.startswith('error: --rows fcos_iu: Table 3 has fcos_iou_cs')
    for words in (
        ('--figure', 6, '--table', 3),
        ('--figure', 6, '--rows', 'fcos_iou_cs_is'),
        ('--table', 3, '--starts', 5),
    ):
        assert tool(*words, '--data', 'shapes')[0] == 2


def test_figure_6(tool, stand_in, tmp_path, cells, pictures):
    words = '--figure 6 --data shapes --gpus 0 --seeds 0 1 --thresholds 0.95'
    words = (*words.split(), '--starts', 5, 60)
    status, output = tool(*words)
    assert status is None
    trainings = [c for c in stand_in if Path(c[1]).stem == 'train']
    # Two recipes at two starts, and the proposer of one; two seeds each.
    assert len(trainings) == 2 * (2 * 2 + 1)
    masked = [
        dict(word.split('=', 1) for word in c if 'loss_cls' in word)
        for c in trainings
        if 'unknown' in c[2]
    ]
    names = [
        f'model.bbox_head.loss_cls.{x}' for x in ('threshold', 'start_iter')
    ]
    assert {options[names[0]] for options in masked} == {'0.95'}
    starts = sorted(round(90 * float(o[names[1]])) for o in masked)
    assert starts == [5] * 4 + [60] * 4
    table = cells(output)
    assert [row[:3] for row in table[1:]] == [
        [recipe, '0.95', f'{start}/90']
        for recipe in ('joint', 'finetune')
        for start in (5, 60)
    ]
    assert all(row[3] == '25.0 ± 0.0' for row in table[1:])
    first, second = pictures[-1].axes
    assert first.get_title() == 'base AP (class-wise), threshold 0.95'
    for line in first.lines:
        assert [list(x) for x in line.get_data()] == [[5, 60], [25, 25]]
    assert len(second.lines) == 2

    del stand_in[:]
    assert tool(*words)[0] is None and not stand_in
    status, _ = tool(*words, '--metrics', 'AP')
    assert status.startswith('error: --metrics AP: no metric of the test; ')


def test_figure_6_has_the_papers_batch(tool):
    """A step has 16 images on COCO, shared by the GPUs."""
    words = '--figure 6 --data coco --dry-run --gpus'.split()
    _, output = tool(*words, 1)
    assert output.count('train_dataloader.batch_size=16') == 2 * 8 + 1
    _, output = tool(*words, 8)
    assert output.count('dist_train.sh') == 2 * 8 + 1


def test_stub_names_the_command(call_tool):
    status = call_tool(TOOL.parent / 'analysis_tools/sweep_unknown.py', 'c.py')
    assert status.startswith('error: sweep_unknown.py is now `python tools/r')


class Ended:
    """A fake process that writes checkpoints, metrics and hits, or fails."""

    fails = '-'

    def __init__(self, command, stdout):
        folder = Path(command[command.index('--work-dir') + 1])
        folder.mkdir(parents=True, exist_ok=True)
        self.returncode = int(self.fails in command[2])
        if self.returncode:
            stdout.write('CUDA is on fire\n')
        elif folder.name.startswith('test'):
            path = folder / '20260101_000000/20260101_000000.json'
            path.parent.mkdir(parents=True)
            metrics = {
                'base_class-wise/AP': 0.25,
                'novel_drop-base/AR@100': 0.5,
                'time': 0.8,
            }
            path.write_text(json.dumps(metrics))
            hits = {'objects': [1, 2], '10': [3, 9], '100': [4, 12]}
            text = json.dumps({'novel_drop-base': hits, 'novel_oln': hits})
            (folder / 'hits.json').write_text(text)
        else:
            (folder / 'epoch_3.pth').touch()
            (folder / 'last_checkpoint').write_text('epoch_3.pth')

    def poll(self):
        return self.returncode
