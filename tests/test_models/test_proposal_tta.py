"""Several views of an image: proposals and detections are merged by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmdet.models.test_time_augs import DetTTAModel
from mmdet.registry import DATASETS, MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from torch import nn

import mmdet_owp.register  # noqa: F401
from mmdet_owp.errors import UserError
from mmdet_owp.models.test_time_augs.proposal_tta import ProposalTTAModel


class Detector(nn.Module):
    """Stands for a detector where predictions are given."""

    test_cfg = dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=9)

    def test_step(self, data):
        raise NotImplementedError


def area(boxes):
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def suppress(boxes, scores, iou_thr):
    """Return the kept of greedy suppression, best first."""
    order, kept = list(np.argsort(-scores, kind='stable')), []
    while order:
        best, *order = order
        kept.append(best)
        rest = boxes[order].reshape(-1, 4)
        low = np.maximum(rest[:, :2], boxes[best, :2])
        high = np.minimum(rest[:, 2:], boxes[best, 2:])
        inter = (high - low).clip(min=0).prod(1)
        ious = inter / (area(rest) + area(boxes[best]) - inter)
        order = [i for i, iou in zip(order, ious) if iou <= iou_thr]
    return kept


def random_view(seed, scale=1.0, flip=False, num=200, num_classes=1):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (num, 2))
    boxes = np.hstack([corners, corners + rng.uniform(10, 40, (num, 2))])
    found = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32),
        scores=torch.tensor(rng.uniform(size=num), dtype=torch.float32),
        labels=torch.tensor(rng.integers(0, num_classes, num)),
    )
    sample = DetDataSample(
        metainfo=dict(
            ori_shape=(100, 120),
            flip=flip,
            flip_direction='horizontal' if flip else None,
            scale_factor=(scale, scale),
        )
    )
    sample.pred_instances = found
    return sample


def test_proposals_are_flipped_back_and_merged():
    views = [random_view(0, flip=True), random_view(1, scale=2.0)]
    for view in views:
        view.proposals = view.pred_instances
    boxes = [view.proposals.bboxes.numpy() for view in views]
    boxes[0] = np.stack(
        [120 - boxes[0][:, 2], boxes[0][:, 1], 120 - boxes[0][:, 0],
         boxes[0][:, 3]], axis=1)  # fmt: skip
    boxes = np.concatenate(boxes)
    scores = np.concatenate([v.proposals.scores.numpy() for v in views])
    kept = suppress(boxes, scores, 0.7)
    assert len(kept) < len(boxes)
    model = ProposalTTAModel(module=Detector())
    (merged,) = model.merge_preds([views])
    np.testing.assert_allclose(merged.proposals.bboxes, boxes[kept], atol=1e-4)
    np.testing.assert_array_equal(merged.proposals.scores, scores[kept])
    # Without a classifier they are the detections, too.
    assert merged.pred_instances is merged.proposals
    # The sample is that of the view as the image is.
    assert not merged.flip
    few = dict(proposals=dict(max_per_img=7))
    views = [random_view(0, flip=True), random_view(1, scale=2.0)]
    for view in views:
        view.proposals = view.pred_instances
    (merged,) = ProposalTTAModel(few, module=Detector()).merge_preds([views])
    np.testing.assert_array_equal(merged.proposals.scores, scores[kept[:7]])


def test_sizes_of_each_scale():
    def views():
        views = [
            random_view(seed, scale, flip)
            for seed, (scale, flip) in enumerate(
                [(1.0, False), (1.0, True), (2.0, False), (2.0, True)]
            )
        ]
        for view in views:
            view.proposals = view.pred_instances
        return views

    # In pixels of the resized image: from 20 of the image, and below 25.
    ranges = [(20, 1e5), (0, 50)]
    proposals = dict(
        size_ranges=ranges, nms=dict(type='nms', iou_threshold=1.0)
    )
    model = ProposalTTAModel(dict(proposals=proposals), module=Detector())
    (merged,) = model.merge_preds([views()])
    expected = []
    for i, view in enumerate(views()):
        sizes = np.sqrt(area(view.proposals.bboxes.numpy()))
        right = sizes >= 20 if i < 2 else sizes < 25
        assert 0 < right.sum() < len(right)
        expected += view.proposals.scores[right].tolist()
    assert merged.proposals.scores.tolist() == sorted(expected, reverse=True)
    with pytest.raises(UserError, match='2 ranges for 3 views'):
        model.merge_preds([views()[:3]])
    # Four scales are not two scales and their flips.
    scales = [random_view(seed, 1.0 + seed) for seed in range(4)]
    for view in scales:
        view.proposals = view.pred_instances
    with pytest.raises(UserError, match='2 ranges for 4 views'):
        model.merge_preds([scales])


def test_no_proposal_at_all():
    views = [random_view(0, num=0), random_view(1, num=0)]
    for view in views:
        view.proposals = view.pred_instances
    model = ProposalTTAModel(module=Detector())
    (merged,) = model.merge_preds([views])
    assert merged.proposals.bboxes.shape == (0, 4)


@pytest.mark.parametrize('has_proposals', [False, True])
def test_class_detections_are_merged_as_mmdet_does(has_proposals):
    def views():
        views = [random_view(s, num_classes=3) for s in (0, 1)]
        for seed, view in enumerate(views):
            if has_proposals:
                view.proposals = random_view(seed + 2).pred_instances
        return views

    # The NMS of the detector, unless tta_cfg has another.
    for tta_cfg in ({}, dict(nms=dict(type='nms', iou_threshold=0.2))):
        theirs = DetTTAModel(
            ConfigDict({**Detector.test_cfg, **tta_cfg}), module=Detector()
        )
        model = ProposalTTAModel(tta_cfg, module=Detector())
        (expected,), (merged,) = (
            m.merge_preds([views()]) for m in (theirs, model)
        )
        assert 1 < len(merged.pred_instances) <= 9
        for key in ('bboxes', 'scores', 'labels'):
            torch.testing.assert_close(
                merged.pred_instances[key],
                expected.pred_instances[key],
                rtol=0,
                atol=0,
            )
        assert ('proposals' in merged) == has_proposals


@pytest.mark.parametrize(
    'name', ['oln_box', 'oln_rpn', 'fcos_iou_cs_is_joint']
)
def test_detectors(repo, shapes_dir, monkeypatch, mmdet_scope, name):
    """Two sizes of two images, as tests of one size each give them."""
    monkeypatch.setenv('SHAPES', str(shapes_dir))
    cfg = Config.fromfile(repo / f'configs/shapes/{name}_shapes.py')
    torch.manual_seed(0)
    detector = MODELS.build(cfg.model).eval()
    detector.init_weights()
    model = MODELS.build(dict(**cfg.tta_model, module=detector)).eval()
    settings = dict(cfg.test_dataloader.dataset)

    def samples(pipeline):
        dataset = DATASETS.build(dict(settings, pipeline=pipeline))
        with torch.no_grad():
            batch = pseudo_collate([dataset[0], dataset[1]])
            return model.test_step(batch)

    merged = samples(copy.deepcopy(cfg.tta_pipeline))
    single = []
    for scale in (0, 1):
        pipeline = copy.deepcopy(cfg.tta_pipeline)
        sizes = pipeline[1].transforms[0]
        pipeline[1].transforms[0] = sizes[scale : scale + 1]
        dataset = DATASETS.build(dict(settings, pipeline=pipeline))
        batch = pseudo_collate([dataset[0], dataset[1]])
        with torch.no_grad():
            single.append(
                detector.test_step({k: v[0] for k, v in batch.items()})
            )
    for views, sample in zip(zip(*single), merged):
        boxes, scores = (
            torch.cat([view.proposals[key] for view in views]).numpy()
            for key in ('bboxes', 'scores')
        )
        kept = suppress(boxes, scores, 0.7)[:1500]
        np.testing.assert_allclose(
            sample.proposals.scores, scores[kept], rtol=0, atol=1e-6
        )
        assert 1 < len(kept) < len(boxes)


@pytest.mark.parametrize('more', [{}, dict(test_cfg=None)])
def test_detector_without_test_cfg(more):
    """As mmdet's ``Detectron2Wrapper`` and semi-supervised detectors."""
    body = dict(more, test_step=Detector.test_step)
    model = ProposalTTAModel(module=type('Plain', (nn.Module,), body)())
    # The settings of mmdet's tools/test.py for those.
    assert model.tta_cfg.nms == dict(type='nms', iou_threshold=0.5)
    assert model.tta_cfg.max_per_img == 100
