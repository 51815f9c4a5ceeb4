"""From a proposer's dump to a second stage that trains on it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.optim import build_optim_wrapper
from mmengine.registry import METRICS, DefaultScope
from mmengine.runner import Runner

import mmdet_owp.register  # noqa: F401
from mmdet_owp.engine import launch
from mmdet_owp.engine.detector import load_detector
from mmdet_owp.errors import UserError
from mmdet_owp.evaluation.dump_proposals_metric import (
    DumpClassAgnosticProposals,
)
from mmdet_owp.partitions import COCO_NON_VOC, COCO_VOC

REPO = Path(__file__).parents[2]
TOOL = REPO / 'tools/dump_proposals.py'
# What the proposer below writes; {} is the split.
DUMP = 'proposals/tiny_fcos_iou_cs_is_joint_shapes_{}.pkl'
COCO = 'fast_rcnn/fast_rcnn_owp_coco'
SHAPES = 'shapes/fast_rcnn_owp_shapes'


@pytest.fixture(scope='module')
def dumped(tiny_config, tmp_path_factory, untrained, call_tool):
    """Run tools/dump_proposals.py on images of which one has no base box.

    Return the data's root, and the proposer that the proposals are of.
    """
    from mmdet_owp.shapes.dataset import make_shapes

    root = tmp_path_factory.mktemp('dumped') / 'shapes'
    make_shapes(root, seed=1, num_train=6, num_val=3, size=64)
    path = root / 'annotations' / 'instances_train.json'
    content = json.loads(path.read_text())
    first = content['images'][0]['id']
    content['annotations'] = [
        a for a in content['annotations'] if a['image_id'] != first
    ]
    path.write_text(json.dumps(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('SHAPES', str(root))
        config = tiny_config('fcos_iou_cs_is_joint_shapes')
        checkpoint = untrained(config)
        words = (
            f'{config} {checkpoint} --work-dir {root.parent}/runs '
            '--cfg-options test_dataloader.num_workers=0'
        )
        with DefaultScope.overwrite_default_scope('mmdet'):
            assert not call_tool(TOOL, *words.split())
            return root, load_detector(str(config), str(checkpoint))


def second_stage(name, root, monkeypatch):
    """The config of a second stage, on these images and proposals."""
    for variable in ('SHAPES', 'COCO_ROOT'):
        monkeypatch.setenv(variable, str(root))
    config = Config.fromfile(REPO / f'configs/{name}.py')
    for part in ('train', 'test'):
        loader = config[f'{part}_dataloader']
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        split = 'train' if part == 'train' else 'val'
        loader.dataset.proposal_file = DUMP.format(split)
    return config


@pytest.mark.slow
@pytest.mark.parametrize('part', ['train', 'test'])
@pytest.mark.usefixtures('mmdet_scope')
def test_second_stage_gets_the_proposals(part, dumped, monkeypatch):
    """Of each image its own, in pixels of the network's input."""
    root, proposer = dumped
    config = second_stage(SHAPES, root, monkeypatch)
    dataset = DATASETS.build(config[f'{part}_dataloader'].dataset)
    assert len(dataset) == (5 if part == 'train' else 3)
    for item in dataset:
        sample = item['data_samples']
        image = cv2.imread(sample.img_path)
        assert image.shape == (64, 64, 3)
        image = cv2.resize(image, (128, 128))
        pixels = torch.from_numpy(image).permute(2, 0, 1)
        torch.testing.assert_close(item['inputs'], pixels)
        meta = dict(sample.metainfo, scale_factor=(1.0, 1.0))
        batch = dict(inputs=[pixels], data_samples=[sample.new(metainfo=meta)])
        with torch.no_grad():
            (expected,) = proposer.test_step(batch)
        expected = expected.proposals
        assert len(expected) > 100  # the detections of a classifier
        torch.testing.assert_close(
            sample.proposals.bboxes, expected.bboxes[:500], atol=1e-3, rtol=0
        )
        scores = expected.scores[:500]
        torch.testing.assert_close(sample.proposals.scores, scores)


def test_dump_has_every_image(dumped):
    root, _ = dumped
    for split, num in (('train', 6), ('val', 3)):
        found = load(root / DUMP.format(split))
        names = {f'{split}/{p.name}' for p in (root / split).iterdir()}
        assert set(found) == names and len(names) == num
        for proposals in found.values():
            # More than a classifier's 100 detections.
            assert len(proposals['bboxes']) > 100
            assert (np.diff(proposals['scores']) <= 0).all()


@pytest.fixture(scope='module')
def coco(dumped):
    """The same images as COCO with its classes, under the paths of COCO."""
    root, _ = dumped
    coco = root.parent / 'coco'
    (coco / 'annotations').mkdir(parents=True)
    classes = sorted({**COCO_VOC, **COCO_NON_VOC}.items())
    for split in ('train', 'val'):
        path = root / f'annotations/instances_{split}.json'
        content = json.loads(path.read_text())
        ids = {c['id']: i for i, c in enumerate(content['categories'])}
        for a in content['annotations']:
            a['category_id'] = classes[ids[a['category_id']]][0]
        content['categories'] = [dict(id=i, name=n) for i, n in classes]
        for image in content['images']:
            image.update(width=64, height=64)
        path = coco / f'annotations/instances_{split}2017.json'
        path.write_text(json.dumps(content))
        (coco / f'{split}2017').symlink_to(root / split)
        (coco / 'proposals').mkdir(exist_ok=True)
        proposals = load(root / DUMP.format(split))
        renamed = {k.replace('/', '2017/'): v for k, v in proposals.items()}
        (coco / DUMP.format(split)).write_bytes(pickle.dumps(renamed))
    return coco


@pytest.mark.slow
@pytest.mark.parametrize('name', [SHAPES, COCO])
def test_config_trains_and_tests(name, dumped, coco, monkeypatch):
    root = dumped[0] if name == SHAPES else coco
    config = second_stage(name, root, monkeypatch)
    config.model.backbone.init_cfg = None
    for part in ('train', 'test'):
        for transform in config[f'{part}_dataloader'].dataset.pipeline:
            for step in transform.get('transforms', []):
                if step.type == 'Resize':
                    step.scale = (96, 96)
    with DefaultScope.overwrite_default_scope('mmdet'):
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
        head = model.roi_head.bbox_head
        before = {k: v.clone() for k, v in head.state_dict().items()}
        loader = Runner.build_dataloader(config.train_dataloader, seed=0)
        batch = next(iter(loader))
        log = model.train().train_step(batch, optim_wrapper)
        assert set(log) == {'loss', 'loss_cls', 'loss_bbox', 'acc'}
        assert all(value.isfinite().all() for value in log.values())
        for key, parameter in head.named_parameters():
            assert not torch.equal(parameter, before[key]), key
        loader = Runner.build_dataloader(config.test_dataloader)
        (metric,) = (METRICS.build(e) for e in config.test_evaluator)
        metric.dataset_meta = loader.dataset.metainfo
        for batch in loader:
            with torch.no_grad():
                samples = model.eval().test_step(batch)
            metric.process(batch, [s.to_dict() for s in samples])
        results = metric.evaluate(len(loader.dataset))
    assert 0 <= results['base_class-wise/AP'] <= 1


def test_names_of_the_configs():
    """They read what the tool writes of the proposer that they name."""
    names = 'shapes/fcos_iou_cs_is_shapes', 'owp/fcos_iou_cs_is_coco'
    for name, proposer in zip((SHAPES, COCO), names):
        config = Config.fromfile(REPO / f'configs/{name}.py')
        assert (REPO / f'configs/{proposer}.py').is_file()
        for split in ('train', 'val', 'test'):
            loader = config[f'{split}_dataloader']
            written = f'{Path(proposer).name}_{split.replace("test", "val")}'
            assert loader.dataset.proposal_file == f'proposals/{written}.pkl'


def test_foreign_head(tmp_path):
    """Of samples without proposals the detections are written, by score."""
    metric = DumpClassAgnosticProposals(output_dir=str(tmp_path))
    found = dict(
        bboxes=torch.tensor([[0, 0, 1, 1], [2, 2, 5, 5.0]]),
        scores=torch.tensor([0.1, 0.2]),
    )
    metric.process({}, [dict(img_path='a/b/c.jpg', pred_instances=found)])
    metric.evaluate(1)
    written = load(tmp_path / 'proposals.pkl')['b/c.jpg']
    expected = found['bboxes'].flip(0).numpy()
    np.testing.assert_array_equal(written['bboxes'], expected)


def test_missing_proposals(dumped, monkeypatch):
    config = second_stage(SHAPES, dumped[0], monkeypatch)
    launch.check_data(config, 'train', 'test')
    config.train_dataloader.dataset.proposal_file = 'proposals/none.pkl'
    remedy = 'make it with `python tools/dump_proposals.py'
    with pytest.raises(UserError, match=rf'none\.pkl: no such data; {remedy}'):
        launch.check_data(config, 'train')
