"""The benchmark of time and memory, at a small size."""

import json
import os
import runpy
import subprocess
from argparse import Namespace
from functools import partialmethod
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdet_owp.engine import compile_hook
from mmdet_owp.reproduction.profiling import (
    count_flops,
    count_waits,
    peak_memory,
)

REPO = Path(__file__).parents[2]
TOOL = REPO / 'tools/analysis_tools/benchmark.py'
PROPOSER = REPO / 'configs/owp/fcos_iou_cs_is_coco.py'
JOINT = REPO / 'configs/owp_cls/fcos_iou_cs_is_joint_lvis.py'
# With a tenth of the channels.
SMALL = """
    --device cpu --batch 2 --cfg-options
    model.backbone.depth=18 model.backbone.base_channels=8
    model.neck.in_channels=[8,16,32,64] model.neck.out_channels=32
    model.bbox_head.in_channels=32 model.bbox_head.feat_channels=32
    model.bbox_head.stacked_convs=1
""".split()


@pytest.fixture
def tool():
    """The tool's functions."""
    return runpy.run_path(str(TOOL))


@pytest.fixture
def run_tool(call_tool, capsys, cells):
    """Run the tool; return what it prints, rows of its table, and status."""

    def run(config, arguments='', options=SMALL):
        status = call_tool(TOOL, config, *arguments.split(), *options)
        out = capsys.readouterr().out
        return out, cells(out)[1:], status

    return run


def build(tool, config, monkeypatch):
    size = ['--size', '192', '256']
    monkeypatch.setattr('sys.argv', [TOOL.name, str(config), *size, *SMALL])
    args = tool['parse_args']()
    images, _ = tool['draw'](args)
    return tool['build_all'](images, args), args


def test_both_heads_find_the_same_targets(tool, monkeypatch):
    """The timed work is the same."""
    subjects, args = build(tool, JOINT, monkeypatch)
    stock, ours = (s.model.bbox_head for s in subjects.values())
    assert type(stock).__name__ == 'FCOSHead'
    boxes = tool['boxes_of_number'](40, args)
    samples = tool['make_samples'](boxes, 1103, args)
    truth = [sample.gt_instances for sample in samples]
    sizes = (24, 32), (12, 16), (6, 8), (3, 4), (2, 2)
    maps = [torch.empty(2, 1, *size) for size in sizes]
    labels, distances = tool['targets_of'](stock, maps, truth)()
    labels = torch.cat(labels)
    targets = tool['targets_of'](ours, maps, truth)()
    assert torch.equal(targets.labels, labels)
    assert (labels < 1103).sum() > 100
    theirs = torch.cat(distances)[labels < 1103]
    # Ours include the locations that train the cue only.
    mine = targets.boxes.distances[targets.boxes.in_regression]
    assert targets.num_pos == len(mine) == len(theirs)
    assert torch.equal(mine, theirs)


def test_stock_detector(tool, monkeypatch):
    """The same detector except for the head; equal candidates."""
    config = Config.fromfile(PROPOSER)
    stock = tool['stock_of'](config)
    assert stock.model.backbone == config.model.backbone
    assert stock.model.test_cfg == dict(
        config.model.test_cfg.proposals, score_thr=0
    )
    # A baseline equals its stock detector.
    baseline = REPO / 'configs/fcos/fcos_coco.py'
    subjects, args = build(tool, baseline, monkeypatch)
    twin, ours = (s.model.state_dict() for s in subjects.values())
    assert twin.keys() == ours.keys()
    assert all(twin[name].shape == ours[name].shape for name in twin)
    with pytest.raises(ValueError, match='not OWPFCOSHead'):
        tool['stock_of'](stock)


def test_goals_without_a_clock(tool, monkeypatch):
    """No classifier where none is learned; fewer waits; less memory."""
    subjects, args = build(tool, PROPOSER, monkeypatch)
    boxes = tool['boxes_of_number'](50, args)
    stock, ours = subjects.values()
    assert not any('cls' in name for name, _ in ours.model.named_modules())
    parts = [tool['_Parts'](s, boxes, args) for s in (stock, ours)]
    waits = [count_waits(p.prepare('step')) for p in parts]
    assert waits[0]['item'] == 3 and waits[0]['copy'] > 5
    assert waits[1] == dict(nonzero=1)
    for part, most in (('head', 0.6), ('targets', 0.3), ('loss', 0.3)):
        theirs, mine = (peak_memory(p.prepare(part)) for p in parts)
        assert 0 < mine < most * theirs, part


def test_steps_leave_the_weights(tool, monkeypatch):
    """Every turn does the same work."""
    subjects, args = build(tool, PROPOSER, monkeypatch)
    subject = list(subjects.values())[1]
    before = {k: v.clone() for k, v in subject.model.state_dict().items()}
    tool['_Parts'](subject, tool['draw'](args)[1], args).prepare('step')()
    after = subject.model.state_dict()
    assert all(torch.equal(after[name], v) for name, v in before.items())
    # The optimizer did step: it has momentum.
    assert tool['state_size'](subject) > 1.5 * sum(
        p.numel() * 4 for p in subject.model.parameters() if p.requires_grad
    )


def test_peak_is_what_is_allocated_at_once():
    def work():
        for _ in range(5):
            torch.ones(3, 2**20)  # 12 MiB, freed
        kept = [torch.ones(2**20) for _ in range(5)]
        del kept[1:]

    assert peak_memory(work) / 2**20 == pytest.approx(20, abs=0.01)


def test_waits_are_counted():
    x = torch.rand(10)

    def work():
        x.sum().item()
        x[x > 0.5]
        torch.nn.functional.one_hot(x.long())  # waits on a CPU only

    assert count_waits(work) == dict(item=1, nonzero=1)


def test_boxes_of_a_file(tool, tmp_path):
    path = tmp_path / 'ann.json'
    cat = dict(id=1, image_id=1, category_id=1, bbox=[10, 10, 20, 30])
    content = dict(
        images=[
            dict(id=1, file_name='1.png', width=100, height=50),
            dict(id=2, file_name='2.png', width=9, height=9),
        ],
        categories=[dict(id=1, name='cat')],
        annotations=[cat, dict(cat, id=2, bbox=[0, 0, 9, 9], iscrowd=1)],
    )
    path.write_text(json.dumps(content))
    args = Namespace(
        annotations=str(path),
        seed=0,
        batch=1,
        size=[200, 400],
        device='cpu',
        crowds=1,
    )
    (sample,) = tool['make_samples'](tool['boxes_of_file'](args), 1, args)
    expected = pytest.approx([40, 40, 120, 160])
    assert sample.gt_instances.bboxes[0].tolist() == expected
    assert sample.ignored_instances.bboxes[0].tolist() == expected


@pytest.mark.slow
def test_table(run_tool, tmp_path):
    """All parts of three models."""
    _, rows, _ = run_tool(
        PROPOSER,
        f'--also {JOINT} --size 64 64 --boxes 3 7 --repeat 2 --channels-last '
        f'--json {tmp_path}/all.json --profile {tmp_path}/trace.json',
    )
    models = ['FCOSHead', PROPOSER.stem, JOINT.stem]
    assert [row[2] for row in rows] == models * (len(rows) // 3)
    assert len(rows) == 3 * (10 + 4)
    assert {row[1] for row in rows if row[0] == 'targets'} == {'3', '7'}
    content = json.loads((tmp_path / 'all.json').read_text())
    assert len(content['rows']) == len(rows)
    for row, numbers in zip(rows, content['rows']):
        assert [row[0], row[2]] == [numbers['part'], numbers['model']]
        assert len(numbers['seconds']) == 2
    assert set(content['waits']) == set(models)
    trace = (tmp_path / 'trace.json').read_text()
    assert all(f'step: {name}' in trace for name in models)


@pytest.mark.slow
def test_mixed_precision(run_tool):
    out, _, _ = run_tool(PROPOSER, '--size 64 64 --repeat 1 --amp')
    assert ', --amp.' in out and 'nan' not in out


@pytest.mark.slow
def test_two_stages(run_tool, tmp_path):
    """--also takes any detector and measures the parts that it has."""
    other = tmp_path / 'two_stage.py'
    other.write_text(
        "_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'\n"
        'model = dict(roi_head=dict(bbox_head=dict(fc_out_channels=16)),\n'
        '    train_cfg=dict(rpn_proposal=dict(max_per_img=20)),\n'
        '    test_cfg=dict(rpn=dict(max_per_img=20)))\n'
    )
    _, rows, _ = run_tool(
        PROPOSER,
        f'--also {other} --size 64 64 --repeat 1 --batch 2 --device cpu '
        '--parts step inference loss --cfg-options model.backbone.depth=18 '
        'model.neck.in_channels=[64,128,256,512]',
        options=(),
    )
    names = ['FCOSHead', PROPOSER.stem, 'two_stage']
    assert [[row[0], row[2]] for row in rows] == [
        *(['step', n] for n in names),
        *(['inference', n] for n in names),
        *(['loss', n] for n in names[:2]),
    ]


def test_bad_input(run_tool):
    assert 'no such config file' in run_tool('gone.py')[-1]
    assert run_tool(PROPOSER, '--checkpoint only_ours.pth')[-1] == 2
    assert 'gone.json' in run_tool(PROPOSER, '--annotations gone.json')[-1]


def test_operations_by_hand():
    conv = torch.nn.Conv2d(3, 8, 3)
    # 8 x 8 positions of 8 channels, of 3 x 3 x 3 products and sums each.
    assert count_flops(lambda: conv(torch.rand(1, 3, 10, 10))) == (
        2 * 8 * 8 * 8 * 27
    )


PARTS = {
    'cpu': 'fp32 r18 targets loss inference',
    'cuda': 'fp32 amp channels-last compile loss loader nms',
}


@pytest.fixture
def script(tmp_path):
    """Run benchmark.sh with a Python that writes down its arguments."""
    python = tmp_path / 'python'
    python.write_text(
        f'#!/bin/bash\nprintf "%s\\n" "$*" >> {tmp_path}/calls\n'
        'case "$*" in *"${FAIL:-none}"*) exit 1;; esac\n'
        'echo "| a table |"\n'
    )
    python.chmod(0o755)

    def run(*arguments, **env):
        result = subprocess.run(
            ['bash', REPO / 'tools/analysis_tools/benchmark.sh', *arguments,
             '--out', tmp_path / 'out'],
            env=dict(os.environ, PYTHON=str(python), **env),
            text=True, capture_output=True,
        )  # fmt: skip
        return result, (tmp_path / 'calls').read_text().splitlines()

    return run


@pytest.mark.parametrize('device', PARTS)
def test_script_writes_each_part(script, device, tmp_path):
    result, calls = script('--device', device)
    assert result.returncode == 0, result.stderr
    names = {path.stem for path in (tmp_path / 'out').iterdir()}
    assert names == set(PARTS[device].split())
    for name in names:
        text = (tmp_path / 'out' / f'{name}.md').read_text()
        assert text.startswith(f'### {name}\n') and '| a table |' in text
    batches = ['2', '16'] if device == 'cuda' else ['2']
    fp32 = [c for c in calls if ' step ' in c and 'depth=18' not in c]
    assert [c.split('--batch ')[1].split()[0] for c in fp32][
        : len(batches)
    ] == batches


def test_a_failed_run_loses_no_table(script, tmp_path):
    result, _ = script(
        '--device', 'cuda', FAIL='--batch 2 --repeat 15 --limit 8 --parts step'
    )
    assert result.returncode == 1
    assert result.stderr == (
        'error: not finished: fp32 amp channels-last compile\n'
    )
    assert '| a table |' in (tmp_path / 'out' / 'fp32.md').read_text()
    assert '| a table |' in (tmp_path / 'out' / 'nms.md').read_text()
    result, _ = script('--only', 'nothing')
    assert result.returncode == 1 and 'no part nothing' in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    'part', ['channels-last', 'compile', 'loss', 'loader', 'nms']
)
def test_rehearsal(script, part, call_tool, capsys, monkeypatch):
    """The commands of a GPU day, at a tiny size on the CPU.

    Parts `fp32` and `amp` have fewer options than `channels-last`.
    """
    if part == 'compile':
        if not hasattr(torch.nn.Module, 'compile'):
            pytest.skip('PyTorch before 2.2 cannot compile in place')
        # The default backend would take minutes, tracing a backbone many
        # seconds; test_compile_hook.py compiles all parts.
        monkeypatch.setattr(compile_hook, 'PARTS', ('neck',))
        quick = partialmethod(torch.nn.Module.compile, backend='eager')
        monkeypatch.setattr(torch.nn.Module, 'compile', quick)
    monkeypatch.chdir(REPO)
    _, calls = script('--device', 'cpu', '--tiny', '--only', part)
    if part not in ('loader', 'nms'):
        calls = calls[-1:]  # the other differs in the batch or has no crowds
    for call in calls:
        tool, *arguments = call.split()
        assert call_tool(REPO / tool, *arguments) is None
        assert '| ----' in capsys.readouterr().out
