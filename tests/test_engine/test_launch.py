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
        partition='shapes',
    )
    cfg = Config(
        dict(
            train_dataloader=dict(
                dataset=dict(datasets=[dict(dataset=dataset)])
            ),
            val_dataloader=None,
        )
    )
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


# Objectness that is spread out, so that some of it is masked.
MASKING = """
_base_ = '{config}'

model = dict(
    bbox_head=dict(
        loss_cls=dict(threshold=0.5, start_iter=0),
        init_cfg=dict(
            override=_base_.model.bbox_head.init_cfg.override +
            [dict(type='Normal', name='conv_iou', std=1)])))
"""


@pytest.mark.parametrize(
    'name',
    ['fcos_iou_cs_is_shapes', 'fcos_iou_cs_is_joint_unknown_area_nms_shapes'],
)
def test_two_processes_have_the_gradients_of_one(
    run, tiny_config, tmp_path, shapes_dir, monkeypatch, name
):
    """Batch 2 in each of two processes against batch 4 in one."""
    config = tiny_config(name)
    if 'unknown' in name:
        text = MASKING.format(config=config)
        config = tmp_path / 'masking.py'
        config.write_text(text)
    status, output = run(
        'python',
        '-m',
        'torch.distributed.run',
        '--standalone',
        '--nproc_per_node',
        '2',
        gloo_worker.__file__,
        config,
        tmp_path / 'two',
    )
    assert status == 0, output
    two = torch.load(tmp_path / 'two.pth')

    monkeypatch.setenv('SHAPES', str(shapes_dir))
    one = gloo_worker.losses_and_gradients(config, 'none', tmp_path / 'one')
    assert one['losses'].keys() >= {'loss', 'loss_bbox'}
    assert any(g.abs().max() > 1e-3 for g in one['gradients'].values())
    if 'unknown' in name:
        # What is logged is each process's own.
        for result in (one, two):
            assert 0.01 < result['losses'].pop('masked_background') < 0.99
            assert result['losses'].pop('background_objectness_max') > 0.5
    torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-5)
