"""Every config builds, trains one step and tests one, at a tiny size."""
import json
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import METRICS, DefaultScope
from mmengine.runner import Runner

import mmdet_owp.register  # noqa: F401
from mmdet_owp import partitions

REPO = Path(__file__).parents[2]
CONFIGS = sorted(
    str(p.relative_to(REPO)) for p in (REPO / 'configs').glob('[!_]*/*.py'))


@pytest.fixture(scope='module')
def data_roots(tmp_path_factory):
    """A COCO-format set of four images under every name configs use."""
    root = tmp_path_factory.mktemp('coco')
    rng = np.random.default_rng(0)
    for folder in ('train2017', 'val2017', 'train', 'val'):
        for i in range(1, 5):
            mmcv.imwrite(
                rng.integers(0, 256, (72, 96, 3), np.uint8),
                str(root / folder / f'{i}.png'))
    images = [
        dict(id=i, file_name=f'{i}.png', width=96, height=72)
        for i in range(1, 5)
    ]
    for name, classes in (('coco', {
            **partitions.COCO_VOC,
            **partitions.COCO_NON_VOC
    }), ('shapes', {
            **partitions.SHAPES_BASE,
            **partitions.SHAPES_NOVEL
    })):
        categories = [dict(id=i, name=n) for i, n in sorted(classes.items())]
        annotations = [
            dict(
                id=n + 1,
                image_id=n % 4 + 1,
                category_id=categories[n // 4 % len(categories)]['id'],
                bbox=[float(v) for v in (*rng.uniform(0, 50, 2), 30, 20)],
                area=600.0,
                iscrowd=int(n == 3),
                segmentation=[]) for n in range(4 * len(categories))
        ]
        for file in ('instances_train2017', 'instances_val2017',
                     'instances_train', 'instances_val'):
            path = root / name / 'annotations' / f'{file}.json'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                json.dumps(
                    dict(
                        images=images,
                        annotations=annotations,
                        categories=categories)))
        for folder in ('train2017', 'val2017', 'train', 'val'):
            (root / name / folder).symlink_to(root / folder)
    return dict(
        COCO_ROOT=str(root / 'coco'),
        COCO_MINI=str(root / 'coco'),
        SHAPES=str(root / 'shapes'))


def load(path, data_roots, monkeypatch):
    for name, value in data_roots.items():
        monkeypatch.setenv(name, value)
    config = Config.fromfile(REPO / path)
    config.model.backbone.init_cfg = None
    for loader in (config.train_dataloader, config.test_dataloader):
        loader.batch_size = 2
        loader.num_workers = 0
        loader.persistent_workers = False
        for step in loader.dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (96, 72)
    return config


@pytest.mark.parametrize('path', CONFIGS)
def test_config_trains_and_tests(path, data_roots, monkeypatch):
    config = load(path, data_roots, monkeypatch)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
        model.init_weights()
        optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
        before = [p.detach().clone() for p in model.bbox_head.parameters()]
        batch = next(iter(Runner.build_dataloader(config.train_dataloader)))
        log = model.train().train_step(batch, optim_wrapper)
        cues = {f'loss_{cue}' for cue in config.model.bbox_head.objectness}
        expected = {'loss', 'loss_bbox', *cues}
        if config.model.bbox_head.loss_cls is not None:
            expected.add('loss_cls')
        assert set(log) == expected
        assert all(value.isfinite() for value in log.values())
        moved = [(a != b).any() for a, b in zip(
            before, model.bbox_head.parameters(), strict=True)]
        assert all(moved)

        loader = Runner.build_dataloader(config.test_dataloader)
        metric = METRICS.build(config.test_evaluator[0])
        metric.dataset_meta = loader.dataset.metainfo
        for batch in loader:
            with torch.no_grad():
                samples = model.eval().test_step(batch)
            assert all(len(s.proposals) > 0 for s in samples)
            metric.process(batch, [s.to_dict() for s in samples])
        results = metric.evaluate(len(loader.dataset))
    for split in ('novel', 'base'):
        for protocol in ('drop-base', 'exclude-base'):
            for k in (10, 100):
                assert 0 <= results[f'{split}_{protocol}/AR@{k}'] <= 1


def test_paper_recipe(data_roots, monkeypatch):
    """What READINGS fixes and mmdet's defaults would set otherwise."""
    config = load('configs/owp/fcos_iou_cs_is_coco.py', data_roots,
                  monkeypatch)
    assert config.train_cfg.max_iters == 90000
    assert config.param_scheduler[1].milestones == [60000, 80000]
    assert config.param_scheduler[0].end == 1000
    assert config.auto_scale_lr.base_batch_size == 16
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.momentum,
            optimizer.weight_decay) == (0.01, 0.9, 0.0001)
    assert 'paramwise_cfg' not in config.optim_wrapper
    assert config.train_dataloader.sampler.type == 'InfiniteSampler'


def test_names_say_the_method():
    """Table 1's proposal rows, and their readings, exist under their names."""
    names = {Path(p).stem for p in CONFIGS}
    assert names >= {
        'fcos_coco', 'fcos_centerness_coco', 'fcos_iou_coco',
        'fcos_centerness_iou_coco', 'fcos_iou_cs_is_coco',
        'fcos_iou_cs_is_center_coco', 'fcos_iou_cs_is_foreground_coco',
        'fcos_iou_cs_is_center-hard_coco', 'fcos_cond_iou_cs_is_coco',
        'fcos_cond_iou_cs_is_fpn_coco', 'fcos_cond_centerness_coco',
        'fcos_iou_all_coco'
    }
