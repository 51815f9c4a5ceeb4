"""Training and testing by our tools, called here and in processes."""

from __future__ import annotations

import json
import re
import shutil
import time

import cv2
import pytest
import torch

from mmdet_owp.engine import bfloat16
from mmdet_owp.engine.checkpoint import load_checkpoint

EPOCHS = 6
LAST = f'epoch_{EPOCHS}.pth'
NO_VALIDATION = 'val_cfg=None val_dataloader=None val_evaluator=None'
# As in the configs of COCO, the loop counts iterations.
ITERATIONS = """
_base_ = '{config}'

train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=16, val_interval=16)
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
optim_wrapper = dict(accumulative_counts=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=16)
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=6, max_keep_ckpts=3))
log_processor = dict(by_epoch=False)
"""


@pytest.fixture(scope='module')
def config(tiny_config):
    return tiny_config()


@pytest.fixture(scope='module')
def train(repo, call_tool, shapes_dir):
    """Train without validation in this process, in one thread.

    Sums of several threads would differ from those of processes of `start`.
    """

    def train_here(config, work_dir, *words, options=()):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        words = (config, '--work-dir', work_dir, *words)
        words = (*words, '--cfg-options', *NO_VALIDATION.split(), *options)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv('SHAPES', str(shapes_dir))
                assert call_tool(repo / 'tools/train.py', *words) is None
        finally:
            torch.set_num_threads(threads)

    return train_here


@pytest.fixture(scope='module')
def trained(start, train, config, tmp_path_factory):
    """The last checkpoints of an unbroken run and of a resumed one.

    The broken run is a process, killed after a checkpoint.
    """
    folder = tmp_path_factory.mktemp('epochs')
    whole, broken = folder / 'whole', folder / 'broken'
    options = [f'train_cfg.max_epochs={EPOCHS}']
    killed = start(
        f'python tools/train.py {config} --work-dir {broken} '
        f'--cfg-options {NO_VALIDATION}',
        *options,
    )
    # Written after the first checkpoint.
    deadline = time.monotonic() + 300
    while not (broken / 'last_checkpoint').exists():
        assert killed.poll() is None, killed.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.kill()
    killed.communicate()
    assert not (broken / LAST).exists()
    train(config, whole, options=options)
    train(config, broken, '--resume', options=options)
    logs = [path.read_text() for path in broken.glob('*/*.log')]
    assert sum('resumed epoch' in log for log in logs) == 1
    return [work_dir / LAST for work_dir in (whole, broken)]


def assert_same(whole, broken):
    whole, broken = load_checkpoint(whole), load_checkpoint(broken)
    for key in ('state_dict', 'optimizer'):
        torch.testing.assert_close(broken[key], whole[key], rtol=0, atol=0)


def test_resumed_run_has_the_weights_of_an_unbroken_one(trained):
    assert_same(*trained)


@pytest.mark.slow
def test_resumed_run_of_iterations_too(train, config, tmp_path):
    """In mixed precision where the machine has it, accumulating gradients.

    It resumes in the middle of a pass over the data.
    """
    path = tmp_path / 'iterations.py'
    path.write_text(ITERATIONS.format(config=config))
    fast = [] if bfloat16.bfloat16_problem() else ['--amp']
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    train(path, whole, '--channels-last', *fast)
    broken.mkdir()
    shutil.copy(whole / 'iter_6.pth', broken)
    train(path, broken, '--channels-last', *fast, '--resume')
    assert_same(whole / 'iter_16.pth', broken / 'iter_16.pth')
    for folder in (whole, broken):
        (log,) = (path.read_text() for path in folder.glob('*/*.log'))
        assert log.count('training in bfloat16') == len(fast)
        assert ('resumed epoch' in log) == (folder == broken)


def test_metrics_are_printed_and_written(trained, run, config, tmp_path):
    status, output = run(
        f'python tools/test.py {config} {trained[0]} --work-dir {tmp_path} '
        f'--out {tmp_path}/predictions.pkl'
    )
    assert status == 0, output
    (written,) = tmp_path.glob('*/*.json')
    metrics = json.loads(written.read_text())
    for split in ('novel', 'base'):
        for protocol in ('drop-base', 'exclude-base', 'oln'):
            for k in (10, 100):
                name = f'{split}_{protocol}/AR@{k}'
                assert 0 <= metrics[name] <= 1
                assert f'{name}: ' in output
    assert (tmp_path / 'predictions.pkl').stat().st_size > 0


@pytest.mark.parametrize('name', ['draw_proposals', 'draw_locations'])
def test_pictures_are_drawn(
    trained, call_tool, config, repo, shapes_dir, monkeypatch, tmp_path, name
):
    monkeypatch.setenv('SHAPES', str(shapes_dir))
    path = tmp_path / 'picture.png'
    tool = repo / f'tools/analysis_tools/{name}.py'
    words = (config, trained[0], '--out', path, '--num', 2)
    assert call_tool(tool, *words) is None
    # Not a plain color.
    assert cv2.imread(str(path)).std() > 10


@pytest.fixture
def tool(repo, call_tool, monkeypatch, shapes_dir, tmp_path):
    """Call a tool with arguments, return what it exits with."""
    monkeypatch.setenv('SHAPES', str(shapes_dir))

    def call(name, *arguments):
        path = repo / 'tools' / f'{name}.py'
        return call_tool(path, *arguments, '--work-dir', tmp_path)

    return call


@pytest.mark.parametrize('words, message', [
    ('train none.py', 'none.py: no such config file'),
    ('test none.py some.pth', 'none.py: no such config file'),
    ('train CONFIG --resume none.pth', 'none.pth: no such checkpoint'),
    ('train CONFIG --cfg-options load_from=none.pth',
     'none.pth: no such checkpoint'),
    ('test CONFIG none.pth', 'none.pth: no such checkpoint'),
])  # fmt: skip
def test_bad_arguments(tool, config, words, message):
    words = words.replace('CONFIG', str(config)).split()
    assert tool(*words).startswith(f'error: {message}')


def test_amp_without_bfloat16(tool, config, monkeypatch):
    if torch.cuda.is_available():
        pytest.skip('an error on CPUs only')
    reason = 'the processor has no bfloat16'
    monkeypatch.setattr(bfloat16, 'bfloat16_problem', lambda: reason)
    message = tool('train', config, '--amp')
    assert message.startswith(f'error: cannot train in bfloat16: {reason}')


@pytest.mark.parametrize('folder, option', [
    ('work_dirs/fcos_iou_cs_is_shapes', ''),
    ('mine/fcos_iou_cs_is_shapes', ' --work-dir mine/fcos_iou_cs_is_shapes'),
])  # fmt: skip
def test_missing_start(tool, repo, monkeypatch, tmp_path, folder, option):
    """The message has the command that trains the missing checkpoint."""
    monkeypatch.chdir(tmp_path)
    shapes = repo / 'configs/shapes'
    finetuned = shapes / 'fcos_iou_cs_is_finetune_shapes.py'
    start = f'load_from={folder}/epoch_3.pth'
    assert tool('train', finetuned, '--cfg-options', start) == (
        f'error: {folder}/epoch_3.pth: no such checkpoint file; make it with '
        f'`python tools/train.py {shapes}/fcos_iou_cs_is_shapes.py{option}`'
    )


def test_missing_data(tool, config, monkeypatch, tmp_path):
    monkeypatch.setenv('SHAPES', str(tmp_path / 'none'))
    message = r'error: .*none/annotations/instances_train.json: .*'
    remedy = r'make_shapes.py --out .*none.*$'
    assert re.match(message + remedy, tool('train', config))


@pytest.fixture
def corrupt(shapes_dir, tmp_path):
    """The data with a truncated image, and the path of the image."""
    data = shutil.copytree(shapes_dir, tmp_path / 'corrupt')
    image = sorted((data / 'train').iterdir())[3]
    image.write_bytes(image.read_bytes()[:-100])
    return data, image


def test_corrupt_image_in_a_worker(tool, config, corrupt, monkeypatch):
    data, image = corrupt
    monkeypatch.setenv('SHAPES', str(data))
    message = tool('train', config, '--cfg-options', *NO_VALIDATION.split())
    assert re.match(
        f'error: {image}: missing or cannot be decoded; .*_train.json$',
        message,
    )


def assert_one_message(output, path):
    assert len(re.findall('^error: ', output, re.M)) == 1, output
    assert output.count(path) == 1, output
    assert 'Traceback' not in output and 'ChildFailed' not in output, output


def test_corrupt_image_in_one_of_two_processes(run, config, corrupt, tmp_path):
    data, image = corrupt
    status, output = run(
        f'bash tools/dist_train.sh {config} 2 --work-dir {tmp_path} '
        f'--cfg-options {NO_VALIDATION}',
        SHAPES=str(data),
    )
    assert status == 1, output
    assert_one_message(output, str(image))


def test_error_of_both_processes(run, tmp_path):
    """A tool that imports nothing else starts at once."""
    tool = tmp_path / 'tool.py'
    tool.write_text(
        'from mmdet_owp import cli, errors\n'
        'with cli.report_errors():\n'
        "    raise errors.UserError('none.py: no such file')\n"
    )
    status, output = run(
        'python -m mmdet_owp.engine.torchrun --standalone --nproc_per_node 2',
        tool,
    )
    assert status == 1
    assert_one_message(output, 'none.py')


def test_file_that_is_no_checkpoint(tool, config, tmp_path):
    path = tmp_path / 'text.pth'
    path.write_text('no checkpoint')
    message = tool('test', config, path)
    assert re.match('error: .*text.pth: not a PyTorch checkpoint.*$', message)


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


def test_auto_scale_lr_without_base(tool, tmp_path, config):
    path = tmp_path / 'bare.py'
    bare = 'auto_scale_lr = dict(_delete_=True, enable=False)\n'
    path.write_text(f"_base_ = '{config}'\n{bare}")
    message = tool('train', path, '--auto-scale-lr')
    assert re.match('error: .*bare.py: --auto-scale-lr needs .*$', message)
