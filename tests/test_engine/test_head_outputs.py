"""Scores, maps and proposals from the outputs of one pass."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from torch import nn

from mmdet_owp.engine.head_outputs import HeadOutputs, score_map
from mmdet_owp.errors import UserError
from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead
from mmdet_owp.models.task_modules.unknown_masking import UnknownMasking

pytestmark = pytest.mark.usefixtures('mmdet_scope')


class Detector(nn.Module):
    """The part of a detector that the outputs need."""

    def __init__(self, **options):
        super().__init__()
        torch.manual_seed(0)
        nms = dict(type='nms', iou_threshold=0.6)
        tiny = dict(
            feat_channels=8,
            stacked_convs=1,
            norm_cfg=None,
            strides=(8, 16),
            regress_ranges=((-1, 32), (32, 1e8)),
            objectness=('centerness', 'iou'),
            init_cfg=dict(type='Normal', layer='Conv2d', std=0.5),
            test_cfg=ConfigDict(
                nms_pre=20, score_thr=0.05, nms=nms, max_per_img=15
            ),
        )
        self.bbox_head = OWPFCOSHead(3, 8, **{**tiny, **options})
        self.bbox_head.init_weights()
        self.eval()


def sample():
    return DetDataSample(
        metainfo=dict(
            img_shape=(56, 60), ori_shape=(28, 30), scale_factor=(2.0, 2.0)
        )
    )


@pytest.fixture
def feats():
    torch.manual_seed(1)
    return [torch.rand(1, 8, s, s) for s in (8, 4)]


@torch.no_grad()
def test_scores(feats):
    model = Detector()
    with HeadOutputs(model) as outputs:
        logits, _, cues = model.bbox_head(feats)
    model.bbox_head([2 * f for f in feats])  # no longer recorded
    scores = outputs.scores()
    assert list(scores) == [
        'class × √(centerness × IoU)',
        'centerness',
        'IoU',
        '√(centerness × IoU)',
    ]
    for n in range(2):
        c, i = cues[n][0].double().sigmoid().numpy()
        best = logits[n][0].double().sigmoid().amax(0).numpy()
        mean = np.sqrt(c * i)
        expected = [best * mean, c, i, mean]
        for got, value in zip(scores.values(), expected):
            np.testing.assert_allclose(got[n][0].numpy(), value, rtol=1e-5)
        np.testing.assert_allclose(
            outputs.objectness()[n][0].numpy(), mean, rtol=1e-5
        )


@torch.no_grad()
def test_proposals_are_those_of_each_ranking(feats):
    """As predicted by a head that is built with the ranking."""
    model = Detector(objectness=('iou',))
    with HeadOutputs(model) as outputs:
        model.bbox_head(feats)
    found = outputs.proposals(sample())
    assert list(found) == ['class × IoU', 'IoU']
    for name, kind in (('class × IoU', 'cls'), ('IoU', 'objectness')):
        same = Detector(objectness=('iou',), proposal_score=kind)
        image = sample()
        same.bbox_head.predict(feats, [image], rescale=True)
        assert 5 < len(image.proposals) <= 15
        for field in ('bboxes', 'scores'):
            assert torch.equal(found[name][field], image.proposals[field])
    assert not torch.equal(found['IoU'].scores, found['class × IoU'].scores)
    assert model.bbox_head.proposal_score == 'objectness'


@torch.no_grad()
def test_masking_looks_at_its_cues(feats):
    with HeadOutputs(Detector()) as outputs:
        _, _, cues = outputs.head(feats)
    none = torch.empty(0, 4)
    masking = UnknownMasking(0.5, cues=['iou'])
    masked, background = outputs.masked_background(masking, none, none)
    iou = torch.cat([level[0, 1].flatten() for level in cues])
    assert torch.equal(masked, iou > 0) and background.all()


def test_map_of_squares():
    """A location is a square of its stride, cropped and resized."""
    levels = [torch.rand(2, n, n) for n in (8, 4)]
    heat = score_map(levels, (8, 16), sample(), index=1, mode='nearest')
    whole = np.maximum(
        *(np.kron(x[1], np.ones((s, s))) for x, s in zip(levels, (8, 16)))
    )
    np.testing.assert_allclose(heat, whole[:56:2, :60:2], rtol=1e-6)


def test_smooth_map_has_the_scores_at_the_locations():
    """Scores on a plane stay on it, so every pixel is known."""
    y, x = np.mgrid[:8, :8] * 8.0 + 4
    image = DetDataSample(
        metainfo=dict(img_shape=(63, 64), ori_shape=(63, 64))
    )
    heat = score_map([torch.tensor(0.01 * x + 0.002 * y)[None]], (8,), image)
    y, x = np.mgrid[:63, :64] + 0.5
    inside = np.s_[4:60, 4:60]
    np.testing.assert_allclose(
        heat[inside], (0.01 * x + 0.002 * y)[inside], rtol=1e-5
    )
    assert heat.shape == (63, 64)


def test_head_without_objectness():
    with pytest.raises(UserError, match='Sequential: needs an OWPFCOSHead'):
        HeadOutputs(nn.Sequential())
