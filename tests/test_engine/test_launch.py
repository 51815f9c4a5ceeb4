from __future__ import annotations

import gloo_worker
import pytest
import torch
from mmengine.config import Config

from mmdet_owp.engine import launch
from mmdet_owp.errors import UserError


def test_missing_data_is_named(tmp_path):
    (tmp_path / 'train').mkdir()
    dataset = dict(
        data_root=str(tmp_path),
        ann_file='train.json',
        data_prefix=dict(img='train/'),
        partition='shapes',
    )
    wrapped = dict(dataset=dict(datasets=[dict(dataset=dataset)]))
    cfg = Config(dict(train_dataloader=wrapped, val_dataloader=None))
    with pytest.raises(UserError, match='train.json.*make_shapes.py'):
        launch.check_data(cfg, 'train', 'val')
    (tmp_path / 'train.json').touch()
    launch.check_data(cfg, 'train', 'val')
    (tmp_path / 'train').rmdir()
    with pytest.raises(UserError, match='train/: no such data'):
        launch.check_data(cfg, 'train')
    # Only data that the run reads are checked.
    launch.check_data(cfg, 'val')


def test_cpus_need_torchrun():
    with pytest.raises(UserError, match='^--launcher slurm needs CUDA'):
        launch.init_cpu_group(Config(dict(launcher='slurm')))


def test_loaders_on_cuda(tiny_config, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 4)
    # Of 64 cores, a scheduler gives 24 to this process.
    monkeypatch.setattr('os.cpu_count', lambda: 64)
    monkeypatch.setattr(
        'os.sched_getaffinity', lambda pid: range(24), raising=False
    )
    path = str(tiny_config())
    options = {
        'val_dataloader.num_workers': 3,
        'test_dataloader.pin_memory': False,
    }
    cfg = launch.load_config(path, cfg_options=options)
    assert cfg.train_dataloader.num_workers == 8
    assert cfg.train_dataloader.pin_memory
    # What the user says stands.
    assert cfg.val_dataloader.num_workers == 3
    assert not cfg.test_dataloader.pin_memory
    # Of 24 cores, 6 for each of four GPUs.
    cfg = launch.load_config(path, launcher='pytorch')
    assert cfg.train_dataloader.num_workers == 6


# Objectness with a spread, so that some of it is masked.
MASKING = """
_base_ = '{config}'

model = dict(
    bbox_head=dict(
        loss_cls=dict(threshold=0.5, start_iter=0),
        init_reg_bias=0,
        cue_prior=None,
        init_cfg=dict(
            type='Normal', layer='Conv2d', std=0.01,
            override=[dict(type='Normal', name='conv_iou', std=1)])))
"""


TWO = (
    'fcos_iou_presence_border_shapes',
    'fcos_iou_cs_is_joint_unknown_area_nms_shapes',
)


@pytest.fixture(scope='module')
def configs_and_results(run, tiny_config, tmp_path_factory):
    """Name -> its config, and what two processes found, started once."""
    folder = tmp_path_factory.mktemp('two')
    configs = {name: tiny_config(name) for name in TWO}
    masking = folder / 'masking.py'
    masking.write_text(MASKING.format(config=configs[TWO[1]]))
    configs[TWO[1]] = masking
    status, output = run(
        'python -m torch.distributed.run --standalone --nproc_per_node=2',
        *(gloo_worker.__file__, folder, *configs.values()),
    )
    assert status == 0, output
    return {
        name: (config, torch.load(folder / f'{config.stem}.pth'))
        for name, config in configs.items()
    }


@pytest.mark.parametrize('name', TWO)
def test_two_processes_have_the_gradients_of_one(
    configs_and_results, tmp_path, shapes_dir, monkeypatch, name
):
    """Compare batch 2 in each of two processes with batch 4 in one."""
    config, two = configs_and_results[name]
    monkeypatch.setenv('SHAPES', str(shapes_dir))
    one = gloo_worker.losses_and_gradients(config, 'none', tmp_path / 'one')
    assert one['losses'].keys() >= {'loss', 'loss_bbox'}
    assert any(g.abs().max() > 1e-3 for g in one['gradients'].values())
    if 'unknown' in name:
        # Each process logs its own background.
        for result in (one, two):
            assert 0.01 < result['losses'].pop('masked_background') < 0.99
            assert result['losses'].pop('background_objectness_max') > 0.5
    torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-5)
