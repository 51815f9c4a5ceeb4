from __future__ import annotations

import gloo_worker
import pytest
import torch
from mmengine.config import Config

from mmdet_owp.engine import launch


def test_missing_data_is_named(tmp_path):
    (tmp_path / 'train').mkdir()
    dataset = dict(
        data_root=str(tmp_path),
        ann_file='train.json',
        data_prefix=dict(img='train/'),
        partition='shapes')
    cfg = Config(
        dict(
            train_dataloader=dict(
                dataset=dict(datasets=[dict(dataset=dataset)])),
            val_dataloader=None))
    with pytest.raises(FileNotFoundError, match='train.json.*make_shapes.py'):
        launch.check_data(cfg, 'train', 'val')
    (tmp_path / 'train.json').touch()
    launch.check_data(cfg, 'train', 'val')
    (tmp_path / 'train').rmdir()
    with pytest.raises(FileNotFoundError, match='train/: no such data'):
        launch.check_data(cfg, 'train')
    # Only what the run reads is asked for.
    launch.check_data(cfg, 'val')


def test_one_line_errors():
    cfg = Config(dict(launcher='slurm'))
    with pytest.raises(SystemExit, match='^error: --launcher slurm needs'):
        with launch.one_line_errors():
            launch.init_cpu_group(cfg)
    # An error of other code is a bug and keeps its traceback.
    with pytest.raises(ValueError, match='invalid literal'):
        with launch.one_line_errors():
            int('x')


def test_two_processes_have_the_gradients_of_one(run, tiny_config, tmp_path,
                                                 shapes_dir, monkeypatch):
    """Batch 2 in each of two processes against batch 4 in one."""
    config = tiny_config()
    status, output = run('python', '-m', 'torch.distributed.run',
                         '--standalone', '--nproc_per_node', '2',
                         gloo_worker.__file__, config, tmp_path / 'two')
    assert status == 0, output
    two = torch.load(tmp_path / 'two.pth')

    monkeypatch.setenv('SHAPES', str(shapes_dir))
    one = gloo_worker.losses_and_gradients(config, 'none', tmp_path / 'one')
    assert one['losses'].keys() >= {'loss', 'loss_bbox'}
    assert any(g.abs().max() > 1e-3 for g in one['gradients'].values())
    torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-5)
