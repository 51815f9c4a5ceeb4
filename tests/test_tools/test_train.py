"""Training and testing as users do, in processes of our tools."""

from __future__ import annotations

import json
import re
import runpy
import time

import cv2
import pytest
import torch

from mmdet_owp.engine.checkpoint import load_checkpoint

EPOCHS = 6
# As the configs of COCO are, whose loop counts iterations.
ITERATIONS = """
_base_ = '{config}'

train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=24, val_interval=24)
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=24)
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=4, max_keep_ckpts=2))
log_processor = dict(by_epoch=False)
"""


def train(start, config, work_dir, *options, resume=False):
    return start(
        'python',
        'tools/train.py',
        config,
        '--work-dir',
        work_dir,
        *(['--resume'] if resume else []),
        '--cfg-options',
        'val_cfg=None',
        'val_dataloader=None',
        'val_evaluator=None',
        *options,
    )


def train_twice(start, config, folder, last, *options):
    """Train without a break, and with a kill after the first checkpoint.

    Returns the last checkpoints, named ``last``, of both.
    """
    whole, broken = folder / 'whole', folder / 'broken'
    run = train(start, config, whole, *options)
    killed = train(start, config, broken, *options)
    # Its name is written once the checkpoint is.
    deadline = time.monotonic() + 120
    while not (broken / 'last_checkpoint').exists():
        assert killed.poll() is None, killed.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    assert not (broken / last).exists()
    output = run.communicate()[0]
    assert run.returncode == 0, output
    resumed = train(start, config, broken, *options, resume=True)
    output = resumed.communicate()[0]
    assert resumed.returncode == 0, output
    assert 'resumed epoch' in output
    return [work_dir / last for work_dir in (whole, broken)]


@pytest.fixture(scope='module')
def config(tiny_config):
    return tiny_config()


@pytest.fixture(scope='module')
def trained(start, config, tmp_path_factory):
    """Checkpoints of a whole run, and of one that was killed and resumed."""
    return train_twice(
        start,
        config,
        tmp_path_factory.mktemp('epochs'),
        f'epoch_{EPOCHS}.pth',
        f'train_cfg.max_epochs={EPOCHS}',
    )


def assert_same(whole, broken):
    whole, broken = load_checkpoint(whole), load_checkpoint(broken)
    for key in ('state_dict', 'optimizer'):
        torch.testing.assert_close(broken[key], whole[key], rtol=0, atol=0)


def test_killed_and_resumed_run_ends_alike(trained):
    assert_same(*trained)


def test_so_does_a_run_of_iterations(start, config, tmp_path):
    path = tmp_path / 'iterations.py'
    path.write_text(ITERATIONS.format(config=config))
    assert_same(*train_twice(start, path, tmp_path, 'iter_24.pth'))


def test_metrics_are_printed_and_written(trained, run, config, tmp_path):
    status, output = run(
        'python',
        'tools/test.py',
        config,
        trained[0],
        '--work-dir',
        tmp_path,
        '--out',
        tmp_path / 'predictions.pkl',
    )
    assert status == 0, output
    (written,) = tmp_path.glob('*/*.json')
    metrics = json.loads(written.read_text())
    for split in ('novel', 'base'):
        for protocol in ('drop-base', 'exclude-base'):
            for k in (10, 100):
                name = f'{split}_{protocol}/AR@{k}'
                assert 0 <= metrics[name] <= 1
                assert f'{name}: ' in output
    assert (tmp_path / 'predictions.pkl').stat().st_size > 0


@pytest.mark.parametrize('name', ['draw_proposals', 'draw_locations'])
def test_pictures_are_drawn(trained, run, config, tmp_path, name):
    path = tmp_path / 'picture.png'
    status, output = run(
        'python',
        f'tools/analysis_tools/{name}.py',
        config,
        trained[0],
        '--out',
        path,
        '--num',
        2,
    )
    assert status == 0, output
    # Not one colour all over: something is drawn.
    assert cv2.imread(str(path)).std() > 10


@pytest.fixture
def tool(repo, monkeypatch, shapes_dir, tmp_path):
    """Call a tool's main() with arguments; returns what it exits with."""
    monkeypatch.setenv('SHAPES', str(shapes_dir))

    def call(name, *arguments):
        words = [name, *map(str, arguments), '--work-dir', str(tmp_path)]
        monkeypatch.setattr('sys.argv', words)
        main = runpy.run_path(str(repo / 'tools' / f'{name}.py'))['main']
        with pytest.raises(SystemExit) as exit_:
            main()
        return exit_.value.code

    return call


@pytest.mark.parametrize(
    'name, arguments',
    [('train', ('none.py',)), ('test', ('none.py', 'some.pth'))],
)
def test_missing_config(tool, name, arguments):
    assert re.match(
        'error: none.py: no such config file.*$', tool(name, *arguments)
    )


@pytest.mark.parametrize(
    'name, arguments',
    [
        ('train', ('--resume', 'none.pth')),
        ('train', ('--cfg-options', 'load_from=none.pth')),
        ('test', ('none.pth',)),
    ],
)
def test_missing_checkpoint(tool, config, name, arguments):
    assert re.match(
        'error: none.pth: no such checkpoint file.*$',
        tool(name, config, *arguments),
    )


@pytest.mark.parametrize(
    'folder, command',
    [
        ('work_dirs/fcos_iou_cs_is_shapes', ''),
        (
            'mine/fcos_iou_cs_is_shapes',
            ' --work-dir mine/fcos_iou_cs_is_shapes',
        ),
    ],
)
def test_missing_start(tool, repo, monkeypatch, tmp_path, folder, command):
    """The message holds the command that trains what is missing."""
    monkeypatch.chdir(tmp_path)
    shapes = repo / 'configs/shapes'
    message = tool(
        'train',
        shapes / 'fcos_iou_cs_is_finetune_shapes.py',
        '--cfg-options',
        f'load_from={folder}/epoch_3.pth',
    )
    assert message == (
        f'error: {folder}/epoch_3.pth: no such checkpoint file; make it with '
        f'`python tools/train.py {shapes}/fcos_iou_cs_is_shapes.py{command}`'
    )


def test_missing_data(tool, config, monkeypatch, tmp_path):
    monkeypatch.setenv('SHAPES', str(tmp_path / 'none'))
    message = r'error: .*none/annotations/instances_train.json: .*'
    remedy = r'make_shapes.py --out .*none.*$'
    assert re.match(message + remedy, tool('train', config))


def test_file_that_is_no_checkpoint(tool, config, tmp_path):
    (tmp_path / 'text.pth').write_text('no checkpoint')
    assert re.match(
        'error: .*text.pth: not a PyTorch checkpoint.*$',
        tool('test', config, tmp_path / 'text.pth'),
    )


@pytest.mark.parametrize(
    'name', ['fcos_shapes', 'fcos_iou_cs_is_finetune_shapes']
)
def test_checkpoint_of_another_config(tool, trained, tiny_config, name):
    # The proposer's weights lack the classifier, which only a training adds.
    baseline = tiny_config(name)
    assert re.match(
        f'error: .*{trained[0].name}: made by another config .*$',
        tool('test', baseline, trained[0]),
    )


@pytest.mark.skipif(
    torch.cuda.is_available(), reason='it is an error on a CPU only'
)
def test_amp_on_a_cpu(tool, config):
    assert tool('train', config, '--amp').startswith('error: --amp needs')


def test_auto_scale_lr_without_base(tool, tmp_path, config):
    path = tmp_path / 'bare.py'
    path.write_text(
        f"_base_ = '{config}'\nauto_scale_lr = "
        'dict(_delete_=True, enable=False)\n'
    )
    assert re.match(
        'error: .*bare.py: --auto-scale-lr needs .*$',
        tool('train', path, '--auto-scale-lr'),
    )


def test_tta_is_refused(tool, config, capsys):
    assert tool('test', config, 'some.pth', '--tta') == 2
    assert '--tta merges class detections only' in capsys.readouterr().err
