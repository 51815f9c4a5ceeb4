"""Fixtures that several test files use, and which tests are slow."""

from __future__ import annotations

import json
import logging
import os
import runpy
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from unittest import mock

import pytest

REPO = Path(__file__).resolve().parents[1]

# On the built-in data at 64 px, small enough for a CPU to train in seconds.
TINY_CONFIG = """
_base_ = '{repo}/configs/shapes/{name}.py'

model = dict(
    backbone=dict(base_channels=8, norm_eval=True),
    neck=dict(in_channels=[8, 16, 32], out_channels=16),
    bbox_head=dict(
        in_channels=16,
        feat_channels=16,
        stacked_convs=1,
        norm_cfg=dict(type='GN', num_groups=4)))
train_dataloader = dict(batch_size=2)
randomness = dict(seed=0)
"""


def pytest_configure():
    """Let SIGINT stop what tests start, also behind a shell's `&`."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Mark tests that start processes as slow."""
    for item in items:
        if {'start', 'run'} & set(getattr(item, 'fixturenames', ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope='session', autouse=True)
def mmdet_index():
    """Read mmdet's metafiles once.

    mmengine reads all hundred for every ``_base_ = 'mmdet::…'``.
    """
    from mmengine.config import utils

    with mock.patch.object(utils, 'load', lru_cache(None)(utils.load)):
        yield


@pytest.fixture(scope='session', autouse=True)
def unformatted_configs():
    """Leave configs as they are where a run logs and stores them.

    yapf takes seconds, and a run formats its config five times and more.
    """
    from mmengine.config import config

    def leave(text, **_):
        return text, True

    # mmengine imports it at the head of the file or where it is called.
    with mock.patch('yapf.yapflib.yapf_api.FormatCode', leave):
        with mock.patch.object(config, 'FormatCode', leave, create=True):
            yield


@pytest.fixture
def mmdet_scope():
    """Build in mmdet's scope, whatever scope an earlier test left."""
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture(scope='session')
def repo() -> Path:
    """The root of the repository."""
    return REPO


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Data and weights beside the repository; skips where there are none."""
    path = REPO.parent / 'shared'
    if not path.is_dir():
        pytest.skip(f'{path} is absent')
    return path


@pytest.fixture(scope='session')
def shapes_dir(tmp_path_factory) -> Path:
    """Built-in data: 8 training and 4 validation images of 64 px."""
    from mmdet_owp.shapes.dataset import make_shapes

    out = tmp_path_factory.mktemp('data') / 'shapes'
    make_shapes(out, seed=0, num_train=8, num_val=4, size=64)
    return out


@pytest.fixture(scope='session')
def tiny_config(tmp_path_factory):
    """Write a tiny variant of a config of configs/shapes/, return its path."""

    def write(name: str = 'fcos_iou_cs_is_shapes') -> Path:
        path = tmp_path_factory.mktemp('configs') / f'tiny_{name}.py'
        path.write_text(TINY_CONFIG.format(repo=REPO, name=name))
        return path

    return write


@pytest.fixture
def pictures(monkeypatch):
    """Collect the figures that the tools write."""
    from mmdet_owp.visualization import style

    kept, save = [], style.save

    def keep(figure, path):
        kept.append(figure)
        save(figure, path)

    monkeypatch.setattr(style, 'save', keep)
    return kept


@pytest.fixture(scope='session')
def write_log():
    """Write what a training logs into its work folder."""

    def write(folder, *lines, time='20260101_000000', end=''):
        path = folder / time / 'vis_data/scalars.json'
        path.parent.mkdir(parents=True)
        path.write_text('\n'.join(map(json.dumps, lines)) + '\n' + end)
        return folder

    return write


@pytest.fixture(scope='session')
def cells():
    """Return the cells of a Markdown table in a text, without its rule."""

    def read(text: str) -> list[list[str]]:
        lines = [line for line in text.splitlines() if line.startswith('|')]
        del lines[1:2]
        return [[c.strip() for c in line.split('|')[1:-1]] for line in lines]

    return read


@pytest.fixture(scope='session')
def start(shapes_dir):
    """Start a command of the repository on the tiny data, return its Popen.

    Its first argument is split into words. ``python`` as the first word means
    the interpreter of the tests. Of processes that a failed test left, none
    outlives the tests.
    """
    started = []

    def start_command(first, *more, **environment) -> subprocess.Popen:
        words = [*first.split(), *map(str, more)]
        if words[0] == 'python':
            words[0] = sys.executable
        ours = dict(
            SHAPES=str(shapes_dir),
            PYTHONPATH=str(REPO),
            OMP_NUM_THREADS='1',
            PYTHON=sys.executable,
        )
        process = subprocess.Popen(
            words,
            cwd=REPO,
            env={**os.environ, **ours, **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start_command
    for process in started:
        process.kill()


@pytest.fixture(scope='session')
def run(start):
    """Run a command as ``start`` does, return its exit status and output."""

    def run_command(*command, **environment) -> tuple[int, str]:
        process = start(*command, **environment)
        try:
            output, _ = process.communicate(timeout=300)
        finally:
            process.kill()
        return process.returncode, output

    return run_command


@pytest.fixture(scope='session')
def call_tool():
    """Call a tool in this process, return its exit status or None."""

    def call(path, *words):
        with mock.patch('sys.argv', [str(path), *map(str, words)]):
            try:
                runpy.run_path(str(path), run_name='__main__')
            except SystemExit as exit_:
                return exit_.code
            finally:
                logging.disable(logging.NOTSET)  # some tools are quiet
        return None

    return call


@pytest.fixture(scope='session')
def untrained(tmp_path_factory):
    """Write a checkpoint of random weights for a config, return its path."""

    def write(config: Path) -> Path:
        import torch
        from mmdet.registry import MODELS
        from mmengine.config import Config
        from mmengine.registry import DefaultScope

        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope('mmdet'):
            model = MODELS.build(Config.fromfile(config).model)
            model.init_weights()
        path = tmp_path_factory.mktemp('checkpoints') / f'{config.stem}.pth'
        meta = dict(dataset_meta=dict(classes=tuple('abcdefgh')))
        torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
        return path

    return write
