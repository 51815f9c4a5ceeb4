"""The tools that export and time ONNX models."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmdet_owp.deployment import onnx_export

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

TOOLS = Path(__file__).parents[2] / 'tools/deployment'


@pytest.fixture
def tool(call_tool, capsys):
    """Call a tool; returns what it exits with and what it prints."""
    return lambda name, *words: (
        call_tool(TOOLS / name, *words),
        capsys.readouterr(),
    )


@pytest.fixture(scope='module')
def trained(tiny_config, tmp_path_factory):
    """Config and checkpoint of a proposer."""
    config = tiny_config()
    torch.manual_seed(0)
    detector = onnx_export.load_detector(Config.fromfile(config), None)
    checkpoint = tmp_path_factory.mktemp('weights') / 'epoch_1.pth'
    torch.save(dict(state_dict=detector.state_dict()), checkpoint)
    return config, checkpoint


@pytest.fixture(scope='module')
def images(shapes_dir):
    return sorted((shapes_dir / 'val').glob('*.png'))


@pytest.mark.parametrize('nms', ['inside', 'outside'])
def test_export(nms, tool, trained, images, tmp_path):
    out = tmp_path / 'model.onnx'
    status, said = tool(
        'export_onnx.py',
        *trained,
        '--out',
        out,
        '--nms',
        nms,
        '--check',
        *images[:2],
        '--cfg-options',
        'model.test_cfg.proposals.max_per_img=13',
    )
    assert status is None
    lines = said.out.splitlines()
    assert lines[0] == f'wrote {out}'
    for line, image in zip(lines[1:], images[:2], strict=True):
        assert line.startswith(f'{image}: 13 proposals, 13 by ONNX')
    outputs = [o.name for o in onnx.load(out).graph.output]
    assert outputs == ['boxes', 'scores', 'image'][: 3 - (nms == 'outside')]


def test_check_fails(tool, trained, images, tmp_path, monkeypatch):
    """A model of other weights is not taken for the detector."""
    true_export = onnx_export.export_onnx

    def export(detector, *args):
        bias = detector.bbox_head.conv_iou.bias.data
        bias += 0.01
        true_export(detector, *args)
        bias -= 0.01

    monkeypatch.setattr(onnx_export, 'export_onnx', export)
    status, _ = tool(
        'export_onnx.py',
        *trained,
        '--out',
        tmp_path / 'model.onnx',
        '--check',
        *images[:2],
    )
    assert status.startswith('error: 2 of 2 images differ')


def test_refusals(tool, trained, images, tmp_path):
    config, checkpoint = trained
    out = tmp_path / 'model.onnx'
    for words, message in (
        ((config, 'none.pth'), 'none.pth: no such checkpoint'),
        (('none.py', checkpoint), 'none.py: no such config'),
        ((config, images[0]), f'{images[0]}: not a PyTorch checkpoint'),
    ):
        status, _ = tool('export_onnx.py', *words, '--out', out)
        assert status.startswith(f'error: {message}')
        assert '\n' not in status
    assert not out.exists()


def test_benchmark(tool, trained, images, tmp_path):
    out = tmp_path / 'times.json'
    status, said = tool(
        'benchmark_onnx.py',
        *trained,
        '--images',
        images[0],
        '--repeat',
        2,
        '--json',
        out,
    )
    assert status is None
    measured = json.loads(out.read_text())
    assert measured['threads'] == torch.get_num_threads() == 1
    (row,) = measured['images']
    assert row['size'] == [128, 128]
    assert row['proposals'][0] == row['proposals'][1] > 10
    assert row['box_difference'] < 1e-2
    medians = [statistics.median(t) for t in row['seconds'].values()]
    assert [len(t) for t in row['seconds'].values()] == [2, 2]
    last = said.out.splitlines()[-1].split('|')
    assert last[1].strip() == '128 x 128'
    assert float(last[-2]) == pytest.approx(medians[1] / medians[0], abs=0.006)


def test_benchmark_of_random_weights(tool, trained, tmp_path):
    status, said = tool(
        'benchmark_onnx.py',
        trained[0],
        '--size',
        40,
        72,
        '--repeat',
        1,
        '--json',
        tmp_path / 'none' / 'a.json',
    )
    assert 'random weights' in said.out and '72 x 40' in said.out
    assert status.endswith('the table above is complete')
