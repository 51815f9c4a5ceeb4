"""The LVIS configs from end to end, on the built-in data in its format."""

from __future__ import annotations

import pytest

from mmdet_owp.engine import launch
from mmdet_owp.errors import UserError
from mmdet_owp.reproduction.logs import read_metrics
from mmdet_owp.shapes.dataset import make_shapes

# Images of 96 px, a network that is quick to save, no weights to download.
SMALL = {
    'model.backbone.depth': 18,
    'model.neck.in_channels': [64, 128, 256, 512],
    'model.neck.out_channels': 64,
    'model.bbox_head.in_channels': 64,
    'model.bbox_head.feat_channels': 64,
    'train_dataloader.dataset.pipeline.2.scale': (96, 96),
    'val_dataloader.dataset.pipeline.1.scale': (96, 96),
    'test_dataloader.dataset.pipeline.1.scale': (96, 96),
    'model.backbone.init_cfg': None,
}
SHORT = {'train_cfg.max_iters': 3, 'train_cfg.val_interval': 3}
RECALL = [
    f'lvis-id_novel_{protocol}/AR@300'
    for protocol in ('drop-base', 'exclude-base', 'oln')
]


@pytest.fixture(scope='module')
def lvis_root(tmp_path_factory):
    out = tmp_path_factory.mktemp('lvis')
    make_shapes(out, num_train=6, num_val=4, size=64, style='lvis')
    return out


def as_words(**options):
    return [f'{k}={value}'.replace(' ', '') for k, value in options.items()]


@pytest.mark.slow
def test_train_and_test_the_proposer(
    call_tool, repo, lvis_root, tmp_path, monkeypatch
):
    """Options name the data to train, the environment that to test."""
    config = repo / 'configs/owp/fcos_iou_cs_is_lvis.py'
    where = {
        f'{part}_dataloader.dataset.data_root': lvis_root
        for part in ('train', 'val')
    }
    status = call_tool(
        *(repo / 'tools/train.py', config, '--work-dir', tmp_path),
        *('--cfg-options', *as_words(**SMALL, **SHORT, **where)),
    )
    assert status is None
    (log,) = (path.read_text() for path in tmp_path.glob('*/*.log'))
    for name in RECALL:
        assert f'{name}: ' in log
    monkeypatch.setenv('LVIS_ROOT', str(lvis_root))
    status = call_tool(
        *(repo / 'tools/test.py', config, tmp_path / 'iter_3.pth'),
        *('--work-dir', tmp_path / 'test'),
        *('--cfg-options', *as_words(**SMALL)),
    )
    assert status is None
    metrics = read_metrics(tmp_path / 'test')
    for name in RECALL:
        assert 0 <= metrics[name] <= 1
    assert not any('class-wise' in name for name in metrics)


@pytest.mark.slow
def test_train_and_test_a_classifier(lvis_root, tmp_path, monkeypatch, repo):
    """With area masking and federated class-wise AP of 1103 classes."""
    monkeypatch.setenv('LVIS_ROOT', str(lvis_root))
    loss = 'model.bbox_head.loss_cls'
    cfg = launch.load_config(
        f'{repo}/configs/owp_cls/'
        'fcos_iou_cs_is_joint_unknown_area_lvis-count.py',
        str(tmp_path),
        {
            **SMALL,
            **SHORT,
            f'{loss}.threshold': 0.3,
            f'{loss}.start_iter': 0,
            **{
                f'{part}_dataloader.{key}': 0
                for part in ('train', 'test')
                for key in ('num_workers', 'persistent_workers')
            },
            **dict.fromkeys(('val_cfg', 'val_dataloader', 'val_evaluator')),
        },
    )
    cfg.experiment_name = 'test_lvis'
    runner = launch.build_runner(cfg)
    runner.train()
    log = runner.message_hub.get_scalar('train/masked_background').data[0]
    assert len(log) == 3 and (log > 0).all()
    metrics = runner.test()
    for name in ('AP', 'AP_r', 'AP_c', 'AP_f', 'AR@300'):
        assert 0 <= metrics[f'lvis-count_base_class-wise/{name}'] <= 1, name
    for name in RECALL:
        assert name not in metrics
        assert 0 <= metrics[name.replace('lvis-id', 'lvis-count')] <= 1


def test_missing_data_say_what_is_needed(tmp_path, monkeypatch, repo):
    monkeypatch.setenv('LVIS_ROOT', str(tmp_path))
    cfg = launch.load_config(f'{repo}/configs/owp/fcos_iou_cs_is_lvis.py')
    with pytest.raises(
        UserError,
        match='lvis_v1_train.json: no such data; put '
        r'annotations/lvis_v1_\{train,val\}.json .* LVIS_ROOT',
    ) as error:
        launch.check_data(cfg, 'train')
    assert '\n' not in str(error.value)
