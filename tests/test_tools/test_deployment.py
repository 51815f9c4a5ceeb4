"""The tools that export and time ONNX models."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
import torch

from mmdet_owp.deployment import onnx_export
from mmdet_owp.engine.detector import load_detector

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

TOOLS = Path(__file__).parents[2] / 'tools/deployment'


@pytest.fixture
def tool(call_tool, capsys):
    """Call a tool, return its exit status or message and its output."""
    return lambda name, *words: (
        call_tool(TOOLS / name, *words),
        capsys.readouterr(),
    )


@pytest.fixture(scope='module')
def trained(tiny_config, tmp_path_factory):
    """Config and checkpoint of a proposer."""
    config = tiny_config()
    torch.manual_seed(0)
    detector = load_detector(str(config), None)
    checkpoint = tmp_path_factory.mktemp('weights') / 'epoch_1.pth'
    torch.save(dict(state_dict=detector.state_dict()), checkpoint)
    return config, checkpoint


@pytest.fixture(scope='module')
def images(shapes_dir):
    return sorted((shapes_dir / 'val').glob('*.png'))


@pytest.mark.parametrize('nms', ['inside', 'outside'])
def test_export(nms, tool, trained, images, tmp_path):
    out = tmp_path / 'model.onnx'
    options = f'--out={out}', f'--nms={nms}', '--check', *images[:2]
    setting = '--cfg-options', 'model.test_cfg.proposals.max_per_img=13'
    status, output = tool('export_onnx.py', *trained, *options, *setting)
    assert status is None
    lines = output.out.splitlines()
    assert lines[0] == f'wrote {out}'
    assert len(lines) == 3
    for line, image in zip(lines[1:], images[:2]):
        assert line.startswith(f'{image}: 13 proposals, 13 by ONNX')
    outputs = [o.name for o in onnx.load(out).graph.output]
    assert outputs == ['boxes', 'scores', 'image'][: 3 - (nms == 'outside')]


def test_check_fails(tool, trained, images, tmp_path, monkeypatch):
    """A model with other weights differs from the detector."""
    true_export = onnx_export.export_onnx

    def export(detector, *args):
        bias = detector.bbox_head.conv_iou.bias.data
        bias += 0.01
        true_export(detector, *args)
        bias -= 0.01

    monkeypatch.setattr(onnx_export, 'export_onnx', export)
    options = '--out', tmp_path / 'model.onnx', '--check', *images[:2]
    status, _ = tool('export_onnx.py', *trained, *options)
    assert status.startswith('error: 2 of 2 images differ')


@pytest.mark.parametrize('name', ['export_onnx.py', 'benchmark_onnx.py'])
def test_bad_input(name, tool, trained, images, tmp_path, repo):
    config, checkpoint = trained
    oln = repo / 'configs/shapes/oln_rpn_shapes.py'
    out = tmp_path / 'model.onnx'
    for words, message in (
        ((config, 'none.pth'), 'none.pth: no such checkpoint'),
        (('none.py', checkpoint), 'none.py: no such config'),
        ((config, images[0]), f'{images[0]}: not a PyTorch checkpoint'),
        ((oln, checkpoint), f'{checkpoint}: made by another config'),
    ):
        more = ('--out', out) if name == 'export_onnx.py' else ()
        status, _ = tool(name, *words, *more)
        assert status.startswith(f'error: {message}')
        assert '\n' not in status
    assert not out.exists()


def test_bad_paths(tool, trained, tmp_path):
    (tmp_path / 'file').touch()
    out = '--out', tmp_path / 'file/model.onnx'
    status, _ = tool('export_onnx.py', *trained, *out)
    assert status.startswith(f'error: cannot write {out[1]}: ')
    out = '--out', tmp_path / 'model.onnx'
    status, _ = tool('export_onnx.py', *trained, *out, '--check', 'none.png')
    assert status == 'error: none.png: no such image'
    status, _ = tool('export_onnx.py', *trained, *out, '--device', 'gpu')
    assert status.startswith("error: no device 'gpu' here")
    status, _ = tool('benchmark_onnx.py', *trained, '--images', 'none.png')
    assert status == 'error: none.png: no such image'
    assert tool('benchmark_onnx.py', *trained, '--repeat', 0)[0] == 2


def test_benchmark(tool, trained, images, tmp_path):
    out = tmp_path / 'times.json'
    options = f'--images={images[0]}', '--repeat=2', f'--json={out}'
    status, output = tool('benchmark_onnx.py', *trained, *options)
    assert status is None
    measured = json.loads(out.read_text())
    assert measured['threads'] == torch.get_num_threads() == 1
    (row,) = measured['images']
    assert row['size'] == [128, 128]
    assert row['proposals'][0] == row['proposals'][1] > 10
    assert row['box_difference'] < 1e-2
    medians = [statistics.median(t) for t in row['seconds'].values()]
    assert [len(t) for t in row['seconds'].values()] == [2, 2]
    last = output.out.splitlines()[-1].split('|')
    assert last[1].strip() == '128 x 128'
    assert float(last[-2]) == pytest.approx(medians[1] / medians[0], abs=0.006)


def test_benchmark_of_random_weights(tool, trained, tmp_path):
    options = '--size', 40, 72, '--repeat=1', '--json', tmp_path / 'none/a'
    status, output = tool('benchmark_onnx.py', trained[0], *options)
    assert 'random weights' in output.out and '72 x 40' in output.out
    assert status.startswith(f'error: cannot write {tmp_path}/none/a: ')
