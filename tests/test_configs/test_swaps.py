"""Heads and backbones swapped by inheritance, on the built-in data."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.registry import DATASETS, METRICS, MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import InstanceData

import mmdet_owp.register  # noqa: F401

REPO = Path(__file__).parents[2]

ANCHORS = dict(
    type='AnchorGenerator',
    ratios=[1.0],
    octave_base_scale=4,
    scales_per_octave=1,
    strides=[4, 8, 16],
)
ATSS = dict(
    type='ATSSHead',
    anchor_generator=ANCHORS,
    bbox_coder=dict(
        type='DeltaXYWHBBoxCoder',
        target_means=[0.0, 0.0, 0.0, 0.0],
        target_stds=[0.1, 0.1, 0.2, 0.2],
    ),
    loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
    loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True),
)
RETINA = dict(type='RetinaHead', anchor_generator=ANCHORS)
STOCK_FCOS = dict(
    type='FCOSHead',
    strides=[4, 8, 16],
    regress_ranges=((-1, 24), (24, 48), (48, 1e8)),
)
COMMON = dict(
    _delete_=True,
    num_classes=8,
    in_channels=48,
    feat_channels=64,
    stacked_convs=1,
)
IOU = dict(pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0)
# Head -> detector and assigner, as in mmdet's own configs.
DETECTORS = dict(
    ATSSHead=('ATSS', dict(type='ATSSAssigner', topk=9)),
    RetinaHead=('RetinaNet', dict(type='MaxIoUAssigner', **IOU)),
    FCOSHead=('FCOS', None),
)
TEST_CFG = dict(
    nms_pre=100,
    min_bbox_size=0,
    score_thr=0.0,
    nms=dict(type='nms', iou_threshold=0.6),
    max_per_img=100,
)


def train_and_test(config: Config) -> tuple[dict, dict]:
    """Run a training step and a test, return losses and metrics."""
    for loader in (config.train_dataloader, config.test_dataloader):
        loader.update(batch_size=4, num_workers=0)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(config.model)
        optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
        batch = next(iter(Runner.build_dataloader(config.train_dataloader)))
        losses = model.train().train_step(batch, optim_wrapper)
        loader = Runner.build_dataloader(config.test_dataloader)
        evaluator = Evaluator(config.test_evaluator)
        evaluator.dataset_meta = loader.dataset.metainfo
        for batch in loader:
            with torch.no_grad():
                evaluator.process(model.eval().test_step(batch), batch)
        return losses, evaluator.evaluate(len(loader.dataset))


@pytest.fixture
def write_config(tmp_path, shapes_dir, monkeypatch):
    """Write and load a config that inherits one of configs/shapes/."""
    monkeypatch.setenv('SHAPES', str(shapes_dir))

    def write(name, **settings) -> Config:
        path = tmp_path / 'swapped.py'
        lines = [f"_base_ = '{REPO}/configs/shapes/{name}.py'"]
        lines += [f'{key} = {value!r}' for key, value in settings.items()]
        path.write_text('\n'.join(lines))
        return Config.fromfile(path)

    return write


@pytest.mark.parametrize(
    'head', [ATSS, RETINA, STOCK_FCOS], ids=lambda head: head['type']
)
def test_stock_heads_run_with_our_data_and_metric(write_config, head):
    detector, assigner = DETECTORS[head['type']]
    train_cfg = dict(assigner=assigner, allowed_border=-1, pos_weight=-1)
    model = dict(
        type=detector,
        bbox_head={**head, **COMMON},
        train_cfg=assigner and train_cfg,
        test_cfg=dict(_delete_=True, **TEST_CFG),
    )
    config = write_config('fcos_shapes', model=model)
    losses, metrics = train_and_test(config)
    assert losses['loss_cls'].isfinite() and losses['loss_bbox'] > 0
    for split in ('novel', 'base'):
        for protocol in ('drop-base', 'exclude-base', 'oln'):
            assert 0 <= metrics[f'{split}_{protocol}/AR@100'] <= 1
    assert 'base_class-wise/AP' in metrics


SWIN = dict(
    _delete_=True,
    type='SwinTransformer',
    embed_dims=96,
    depths=[2, 2, 6, 2],
    num_heads=[3, 6, 12, 24],
    out_indices=(0, 1, 2),
)
RESNET18 = dict(_delete_=True, type='ResNet', depth=18, out_indices=(0, 1, 2))
MOBILENET = dict(_delete_=True, type='MobileNetV2', out_indices=(1, 2, 4))


@pytest.mark.parametrize(
    'backbone, channels',
    [
        (RESNET18, [64, 128, 256]),
        (MOBILENET, [24, 32, 96]),
        (SWIN, [96, 192, 384]),
    ],
    ids=['ResNet-18', 'MobileNetV2', 'Swin-T'],
)
def test_our_head_runs_on_other_backbones(write_config, backbone, channels):
    model = dict(backbone=backbone, neck=dict(in_channels=channels))
    config = write_config('fcos_iou_cs_is_shapes', model=model)
    losses, metrics = train_and_test(config)
    assert losses['loss_bbox'] > 0 and losses['loss_iou'] > 0
    assert 0 <= metrics['novel_drop-base/AR@100'] <= 1


def example(page: str, key: str, folder: Path) -> Config:
    """Load the first config of a page that contains ``key``."""
    text = (REPO / page).read_text()
    blocks = re.findall(r'```python\n(.*?)```', text, re.S)
    code = next(block for block in blocks if key in block)
    path = folder / 'example.py'
    code = code.replace("'./", f"'{REPO}/configs/shapes/")
    code = code.replace("'../", f"'{REPO}/configs/")
    path.write_text(code.replace('data/mine', str(folder)))
    return Config.fromfile(path)


def test_docs_swap_a_backbone(shapes_dir, tmp_path, monkeypatch):
    monkeypatch.setenv('SHAPES', str(shapes_dir))
    config = example('docs/configs.md', 'MobileNetV2', tmp_path)
    losses, metrics = train_and_test(config)
    assert losses['loss_bbox'] > 0
    assert 0 <= metrics['novel_exclude-base/AR@100'] <= 1


def test_docs_add_a_level_of_stride_4(tmp_path):
    """A small box trains it."""
    config = example('docs/beyond.md', '_base_.p2', tmp_path)
    assert config.model.neck.num_outs == len(config.model.bbox_head.strides)
    settings = dict(in_channels=8, feat_channels=64, stacked_convs=1)
    config.model.bbox_head.update(settings)
    with DefaultScope.overwrite_default_scope('mmdet'):
        head = MODELS.build(config.model.bbox_head)
    sizes = [(64 // s, 128 // s) for s in (4, 8, 16, 32)] + [(1, 2), (1, 1)]
    # Columns 10 and 11, rows 5 and 6 of the new level's 32 columns.
    boxes = torch.tensor([[41.0, 20.0, 50.0, 28.0]])
    assigned = head.sampler.assign(
        sizes, head.strides, head.regress_ranges, [boxes]
    )
    found = (assigned.regression >= 0).nonzero().squeeze(1)
    assert found[found < 16 * 32].tolist() == [170, 171, 202, 203]
    gt = InstanceData(bboxes=boxes, labels=torch.tensor([0]))
    sample = DetDataSample(gt_instances=gt, metainfo=dict(img_shape=(64, 128)))
    torch.manual_seed(0)
    losses = head.loss([torch.rand(1, 8, *s) for s in sizes], [sample])
    assert all(value.isfinite() for value in losses.values())


def test_docs_train_at_several_sizes(shapes_dir, tmp_path):
    """Images of 128 pixels are resized to one of the sizes."""
    config = example('docs/beyond.md', 'RandomChoiceResize', tmp_path)
    pipeline = config.train_dataloader.dataset.pipeline
    path = next((shapes_dir / 'train').iterdir())
    with DefaultScope.overwrite_default_scope('mmdet'):
        transform = Compose(pipeline)
    found = set()
    for seed in range(12):
        np.random.seed(seed)
        data = transform(dict(img_path=str(path), img_id=1, instances=[]))
        found.add(data['inputs'].shape[1:])
    assert found == {(256, 256), (384, 384), (512, 512)}


def test_docs_take_data_of_ones_own(shapes_dir, tmp_path):
    names = {1: 'car', 2: 'person', 3: 'bin'}
    classes = [dict(id=i, name=name) for i, name in names.items()]
    for part in ('train', 'val'):
        path = shapes_dir / 'annotations' / f'instances_{part}.json'
        content = json.loads(path.read_text())
        content['categories'] = classes
        for a in content['annotations']:
            a['category_id'] = a['category_id'] % 3 + 1
        (tmp_path / f'{part}.json').write_text(json.dumps(content))
    (tmp_path / 'images').symlink_to(shapes_dir / 'train')
    config = example('docs/custom_data.md', 'train_dataloader', tmp_path)
    with DefaultScope.overwrite_default_scope('mmdet'):
        for loader in (config.train_dataloader, config.test_dataloader):
            dataset = DATASETS.build(loader.dataset)
            assert dataset.metainfo['classes'] == ('car', 'person')
            assert dataset[0]['inputs'].shape[0] == 3
        metric = METRICS.build(config.test_evaluator[0])
    metric.dataset_meta = dataset.metainfo
    assert metric.partition.names('novel') == ('bin',)
    assert set(metric.ground_truth.category) == set(names)
