"""Training and testing without network, workers or UTF-8, one message each."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec

import pytest

from mmdet_owp.engine import launch
from mmdet_owp.reproduction.logs import read_metrics


@pytest.fixture
def tool(repo, call_tool, monkeypatch, shapes_dir):
    """Call a tool with arguments, return what it exits with."""
    monkeypatch.setenv('SHAPES', str(shapes_dir))
    return lambda name, *words: call_tool(repo / f'tools/{name}.py', *words)


@pytest.fixture(scope='module')
def config(tiny_config):
    return tiny_config()


needs_torchvision = pytest.mark.skipif(
    find_spec('torchvision') is None, reason='names of its models'
)


@pytest.mark.parametrize('url, name', [
    ('http://127.0.0.1:9/weights.pth', 'weights.pth'),
    pytest.param(
        'torchvision://resnet18', 'resnet18-[0-9a-f]*.pth',
        marks=needs_torchvision),
])  # fmt: skip
def test_weights_that_cannot_be_downloaded(
    tool, config, monkeypatch, tmp_path, url, name
):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    for proxy in ('http_proxy', 'https_proxy'):
        monkeypatch.setenv(proxy, 'http://127.0.0.1:9')
    mine = tmp_path / 'mine.py'
    mine.write_text(
        f"_base_ = '{config}'\nmodel = dict(backbone=dict(init_cfg=dict("
        f"_delete_=True, type='Pretrained', checkpoint='{url}')))\n"
    )
    message = tool('train', mine, '--work-dir', tmp_path / 'work')
    path = f'{tmp_path}/home/hub/checkpoints/{name}'
    assert re.fullmatch(
        rf'error: https?://\S*{name}: cannot be downloaded to {path} \(.*\); '
        'put the file there by hand, or start without these weights: '
        '--cfg-options model.backbone.init_cfg=None',
        message,
    )


@pytest.mark.slow
def test_no_workers(tool, config, tmp_path):
    options = [
        f'{split}_dataloader.{key}'
        for split in ('train', 'val', 'test')
        for key in (
            'num_workers=0',
            'persistent_workers=True',
            'prefetch_factor=2',
        )
    ]
    message = tool(
        *('train', config, '--work-dir', tmp_path, '--cfg-options'),
        *('train_cfg.max_epochs=1', *options),
    )
    assert message is None
    assert (tmp_path / 'epoch_1.pth').exists()


def test_workers_are_as_configured(config):
    cfg = launch.load_config(
        str(config),
        cfg_options={
            'train_dataloader.persistent_workers': True,
            'val_dataloader.num_workers': 0,
            'val_dataloader.persistent_workers': True,
        },
    )
    assert cfg.train_dataloader.persistent_workers
    assert not cfg.val_dataloader.persistent_workers


@pytest.mark.parametrize('tool_name', ['train', 'test'])
def test_work_folder_that_is_a_file(tool, config, tmp_path, tool_name):
    path = tmp_path / 'work'
    path.write_text('mine')
    words = [config, *(['a.pth'] if tool_name == 'test' else [])]
    message = tool(tool_name, *words, '--work-dir', path)
    assert message.startswith(f'error: cannot write {path}: {path} is a file')
    assert path.read_text() == 'mine'


def test_output_that_is_a_folder(tool, config, tmp_path):
    path = tmp_path / 'out.pkl'
    path.mkdir()
    message = tool('test', config, 'a.pth', '--out', path)
    assert (
        message == f'error: cannot write {path}: it is a folder; name a file'
    )


def test_nan_is_written_as_null(tool, config, untrained, shapes_dir, tmp_path):
    """A file without objects, whose metrics are nan."""
    path = shapes_dir / 'annotations/instances_val.json'
    content = json.loads(path.read_text())
    content['annotations'] = []
    empty = tmp_path / 'empty.json'
    empty.write_text(json.dumps(content))
    message = tool(
        *('test', config, untrained(config), '--work-dir', tmp_path),
        *('--cfg-options', f'test_dataloader.dataset.ann_file={empty}'),
    )
    assert message is None
    (written,) = tmp_path.glob('*/*.json')

    def refuse(constant):
        raise AssertionError(constant)

    metrics = json.loads(written.read_text(), parse_constant=refuse)
    assert metrics['novel_drop-base/AR@100'] is None
    # Read back, it is nan again.
    found = read_metrics(tmp_path)['novel_drop-base/AR@100']
    assert found != found


@pytest.mark.slow
def test_terminal_and_files_without_utf8(run, shapes_dir, tmp_path):
    """Class names, file names and messages that the terminal cannot show."""
    content = json.loads(
        (shapes_dir / 'annotations/instances_val.json').read_text()
    )
    content['categories'][0]['name'] = 'Straßenschild 看板'
    ann_file = tmp_path / 'é看.json'
    ann_file.write_text(
        json.dumps(content, ensure_ascii=False), encoding='utf-8'
    )
    saved = tmp_path / 'mine.py'
    status, output = run(
        *('python', 'tools/dataset_tools/check_dataset.py', ann_file),
        *(ann_file, '--images', shapes_dir / 'val', '--save', saved),
        *('--base', content['categories'][0]['id'], '--parent'),
        'configs/shapes/fcos_shapes.py',
        LC_ALL='C',
        PYTHONUTF8='0',
        PYTHONCOERCECLOCALE='0',
        PYTHONIOENCODING='ascii',
    )
    assert 'Traceback' not in output, output
    # The one problem: the same images for training and validation.
    assert status == 1 and '1 problems' in output
    assert 'Straßenschild 看板' in saved.read_text(encoding='utf-8')
