"""OLN's two stages against hand-made boxes, brute force and mmdet's own."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData

import mmdet_owp.register  # noqa: F401
from mmdet_owp.models.dense_heads import oln_rpn_head
from mmdet_owp.models.dense_heads.oln_rpn_head import anchor_centerness
from mmdet_owp.models.roi_heads import bbox_score_head

REPO = Path(__file__).parents[2]
SIZES = [(32, 32), (16, 16), (8, 8)]
META = dict(
    img_shape=(128, 128),
    pad_shape=(128, 128),
    batch_input_shape=(128, 128),
    scale_factor=(2.0, 2.0),
)
pytestmark = pytest.mark.usefixtures('mmdet_scope')


def build(name='oln_box_shapes', seed=0, **options):
    config = Config.fromfile(REPO / f'configs/shapes/{name}.py')
    config.merge_from_dict(options)
    torch.manual_seed(seed)
    model = MODELS.build(config.model)
    model.init_weights()
    return model


def objects(*boxes):
    boxes = torch.tensor(boxes, dtype=torch.float).reshape(-1, 4)
    return InstanceData(
        bboxes=boxes, labels=torch.zeros(len(boxes), dtype=torch.long)
    )


def batch(*boxes_of_images):
    samples = [
        DetDataSample(metainfo=META, gt_instances=objects(*boxes))
        for boxes in boxes_of_images
    ]
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(
        0, 256, (len(samples), 3, 128, 128), generator=generator
    )
    return dict(inputs=list(inputs), data_samples=samples)


def optimizer_of(model):
    sgd = dict(type='SGD', lr=0.01)
    return build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=sgd))


def iou(boxes, others):
    """Brute force, (n, m)."""
    boxes, others = np.asarray(boxes, float), np.asarray(others, float)
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    inner = (high - low).clip(min=0).prod(2)
    areas = [(b[:, 2:] - b[:, :2]).prod(1) for b in (boxes, others)]
    return inner / (areas[0][:, None] + areas[1][None] - inner)


def test_initial_regression_bias_is_that_of_an_init_cfg():
    normal = dict(type='Normal', std=0.01)
    init_cfg = dict(
        normal, layer='Conv2d', override=dict(normal, name='rpn_reg', bias=0.5)
    )
    anchors = dict(
        type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[4]
    )
    states = []
    for options in (dict(init_cfg=init_cfg), dict(init_reg_bias=0.5)):
        head = oln_rpn_head.OLNRPNHead(8, anchor_generator=anchors, **options)
        torch.manual_seed(0)
        head.init_weights()
        states.append(head.state_dict())
    assert all(torch.equal(states[1][k], v) for k, v in states[0].items())
    assert states[0]['rpn_reg.bias'].tolist() == [0.5] * 4
    with pytest.raises(ValueError, match='init_cfg replaces'):
        oln_rpn_head.OLNRPNHead(8, init_cfg=init_cfg, init_reg_bias=0.5)


def test_centerness_of_anchors():
    anchors = torch.tensor([[0.0, 0, 8, 8]]).expand(5, 4)
    boxes = torch.tensor(
        [
            [2.0, 0, 10, 8],  # distances of (4, 4): l 2, r 6, t 4, b 4
            [0, 0, 8, 8],
            [3, 2, 13, 7],  # l 1, r 9, t 2, b 3
            [4, 0, 9, 9],  # on the left side
            [5, 0, 9, 9],  # outside
        ]
    )
    expected = [(2 / 6) ** 0.5, 1, (1 / 9 * 2 / 3) ** 0.5, 0, 0]
    torch.testing.assert_close(
        anchor_centerness(anchors, boxes), torch.tensor(expected)
    )


def targets_of(head, gt):
    """Anchors and their targets for one image."""
    anchors = torch.cat(head.prior_generator.grid_priors(SIZES, device='cpu'))
    flags = torch.ones(len(anchors), dtype=torch.bool)
    torch.manual_seed(1)
    return anchors, *head._get_targets_single(anchors, flags, gt, META)


def test_few_positives_are_filled_with_zeros_from_below_a_tenth():
    head = build().rpn_head
    gt = objects([40, 40, 62, 60], [90, 20, 118, 60])
    anchors, targets, weights, *_ = targets_of(head, gt)
    inside = ((anchors >= 0) & (anchors < 128)).all(1)
    overlaps = iou(anchors, gt.bboxes)
    best = torch.from_numpy(overlaps.max(1))
    positive = inside & (best >= 0.3)
    assert 0 < positive.sum() < 256 and weights.sum() == 256
    assert not weights[~inside].any()
    sampled = weights.bool()
    assert sampled[positive].all()
    assert (best[sampled & ~positive] < 0.1).all()
    assert not targets[~positive].any()
    centers = ((anchors[:, :2] + anchors[:, 2:]) / 2).numpy()
    for i in positive.nonzero().flatten().tolist():
        box = gt.bboxes[overlaps[i].argmax()].numpy()
        low, high = centers[i] - box[:2], box[2:] - centers[i]
        sides = np.minimum(low, high).clip(min=0) / np.maximum(low, high)
        assert targets[i] == pytest.approx(sides.prod() ** 0.5, abs=1e-5)


def test_many_positives_leave_no_zeros():
    head = build().rpn_head
    starts = range(0, 110, 18)
    gt = objects(*[[x, y, x + 18, y + 18] for x in starts for y in starts])
    anchors, _, weights, *_ = targets_of(head, gt)
    best = iou(anchors, gt.bboxes).max(1)
    assert weights.sum() == 256 and (best[weights.bool()] >= 0.3).all()


def rpn_losses(head, *boxes_of_images, seed=0):
    torch.manual_seed(seed)
    cues = [torch.randn(len(boxes_of_images), 1, *s) for s in SIZES]
    boxes = [torch.rand(len(boxes_of_images), 4, *s) for s in SIZES]
    for level in (*cues, *boxes):
        level.requires_grad_()
    torch.manual_seed(1)  # for the sampling
    losses = head.loss_by_feat(
        cues,
        boxes,
        [objects(*b) for b in boxes_of_images],
        [META] * len(boxes_of_images),
    )
    return losses, cues, boxes


def test_first_stage_losses_by_hand():
    head = build().rpn_head
    image = [[40, 40, 62, 60], [30, 30, 95, 95]]
    losses, cues, boxes = rpn_losses(head, image)
    assert set(losses) == {'loss_rpn_obj', 'loss_rpn_bbox'}
    gt = objects(*image)
    anchors, targets, weights, *others = targets_of(head, gt)
    box_targets, box_weights, positive, negative, _ = others
    cue = torch.cat([level.flatten() for level in cues]).sigmoid()
    samples = len(positive) + len(negative)
    assert samples == 256
    # Indices count the anchors inside the image only.
    assert (box_weights > 0).all(1).sum() == len(positive) > 0
    positive = (box_weights > 0).all(1)
    torch.testing.assert_close(
        sum(losses['loss_rpn_obj']),
        ((cue - targets).abs() * weights).sum() / samples,
    )
    # Top, bottom, left and right, as multiples of the anchor's side.
    sides = torch.cat([level[0].flatten(1).T for level in boxes])
    sides = sides[positive].detach()
    priors = anchors[positive]
    x, y = ((priors[:, :2] + priors[:, 2:]) / 2).T
    size = priors[:, 2] - priors[:, 0]
    top, bottom, left, right = (sides * size[:, None]).T
    predicted = torch.stack([x - left, y - top, x + right, y + bottom], 1)
    ious = iou(predicted, box_targets[positive]).diagonal()
    assert sum(losses['loss_rpn_bbox']).item() == pytest.approx(
        10 * (1 - ious).sum() / samples, rel=1e-4
    )
    best = iou(priors, gt.bboxes).max(1)
    own_best = iou(anchors, gt.bboxes).max(0)
    assert all(b >= 0.7 or b in own_best for b in best)


def test_losses_for_short_schedules_take_logits():
    """Cross-entropy by hand: log(1 + exp(x)) - target * x."""

    def entropy(logits, targets):
        return torch.log1p(logits.exp()) - targets * logits

    model = build('oln_box_short_shapes')
    image = [[40, 40, 62, 60], [30, 30, 95, 95]]
    losses, cues, _ = rpn_losses(model.rpn_head, image)
    _, targets, weights, _, _, positive, negative, _ = targets_of(
        model.rpn_head, objects(*image)
    )
    assert weights.sum() == 64
    cue = torch.cat([level.flatten() for level in cues])
    torch.testing.assert_close(
        sum(losses['loss_rpn_obj']),
        (entropy(cue, targets) * weights).sum()
        / (len(positive) + len(negative)),
    )
    scores, samples = scores_and_samples()
    loss = model.roi_head.bbox_head.score_loss(scores, samples)
    expected = entropy(scores[0], 1) + entropy(scores[1], 0.5)
    torch.testing.assert_close(loss, expected / 5)


def test_images_without_objects():
    losses, cues, _ = rpn_losses(build().rpn_head, [])
    assert sum(losses['loss_rpn_bbox']) == 0
    total = sum(losses['loss_rpn_obj'])
    total.backward()
    assert total > 0
    assert sum((level.grad != 0).sum() for level in cues) == 256
    model = build('oln_box_cls_shapes')
    optim = optimizer_of(model)
    log = model.train().train_step(batch([], []), optim)
    assert all(value.isfinite() for value in log.values())
    assert log['loss_bbox'] == log['loss_bbox_score'] == 0


def test_counts_are_averaged_over_processes(monkeypatch):
    """As if another process had three times as many samples."""
    image = [[40, 40, 62, 60], [30, 30, 95, 95]]
    model = build()
    before, *_ = rpn_losses(model.rpn_head, image)
    score = model.roi_head.bbox_head.score_loss(*scores_and_samples())
    for module in (oln_rpn_head, bbox_score_head):
        monkeypatch.setattr(module, 'reduce_mean', lambda count: count * 2)
    after, *_ = rpn_losses(model.rpn_head, image)
    for name, levels in before.items():
        torch.testing.assert_close(sum(after[name]) * 2, sum(levels))
    torch.testing.assert_close(
        model.roi_head.bbox_head.score_loss(*scores_and_samples()) * 2, score
    )


@pytest.mark.parametrize('part', ['train_cfg.rpn_proposal', 'test_cfg.rpn'])
@pytest.mark.parametrize('name', ['oln_box_coco', 'oln_box_cls_coco'])
def test_second_stage_gets_the_candidates_of_all_levels(name, part):
    """2000 per level at most, by falling cue; no suppression, no other cut."""
    config = Config.fromfile(REPO / f'configs/oln/{name}.py')
    cfg = config.model[part.split('.')[0]][part.split('.')[1]]
    head = build(**{'model.rpn_head.anchor_generator.strides': [4, 8, 16]})
    sizes, strides = [(64, 64), (50, 50), (8, 8)], [4, 8, 16]
    generator = torch.Generator().manual_seed(0)
    cues = [torch.randn(1, 1, *s, generator=generator) for s in sizes]
    boxes = [torch.full((1, 4, *s), 0.5) for s in sizes]
    (found,) = head.rpn_head.predict_by_feat(
        cues,
        boxes,
        batch_img_metas=[dict(META, img_shape=(512, 512))],
        cfg=cfg,
    )
    expected = []
    for cue, (_, width), stride in zip(cues, sizes, strides):
        scores = cue.flatten().sigmoid().numpy()
        for n in np.argsort(-scores, kind='stable')[:2000]:
            x, y = n % width * stride, n // width * stride
            expected.append((scores[n], x, y, 2 * stride))
    assert len(found) == len(expected) == 2000 + 2000 + 64
    expected.sort(key=lambda row: -row[0])
    scores, x, y, half = np.array(expected).T
    assert found.scores.tolist() == scores.tolist()
    sides = np.stack([x - half, y - half, x + half, y + half], 1)
    np.testing.assert_allclose(found.bboxes, sides.clip(0, 512), atol=1e-3)


def test_feature_has_length_one():
    head = build().rpn_head
    seen = []
    for predictor in (head.rpn_obj, head.rpn_reg):
        predictor.register_forward_hook(
            lambda module, inputs, output: seen.append(inputs[0])
        )
    x = torch.randn(2, 48, 8, 8) * 100
    head.forward_single(x)
    for feature in seen:
        torch.testing.assert_close(
            feature.norm(dim=1), torch.ones(2, 8, 8), atol=1e-5, rtol=0
        )
    # A feature of zeros has no direction.
    head.rpn_conv.bias.data.fill_(-1e6)
    assert all(out.isfinite().all() for out in head.forward_single(x))
    assert not seen[-1].any()


def test_first_stage_has_no_classifier():
    head = build().rpn_head
    assert {name.split('.')[0] for name, _ in head.named_parameters()} == {
        'rpn_conv',
        'rpn_reg',
        'rpn_obj',
    }
    with pytest.raises(TypeError, match='loss_cls'):
        build(**{'model.rpn_head.loss_cls': dict(type='CrossEntropyLoss')})
    with pytest.raises(ValueError, match='one anchor per location, not 3'):
        build(**{'model.rpn_head.anchor_generator.ratios': [0.5, 1.0, 2.0]})


def scores_and_samples():
    """Box scores of two images; the second has no object."""
    samples = []
    for gts, num_positive, priors in (
        (
            [[10, 10, 30, 30]],
            2,
            [[10, 10, 30, 30], [10, 10, 30, 50], [60, 60, 80, 80]],
        ),
        ([], 0, [[0, 0, 9, 9], [5, 5, 9, 9]]),
    ):
        is_positive = torch.arange(len(priors)) < num_positive
        assigned = SimpleNamespace(
            gt_inds=is_positive.long(), labels=torch.zeros(len(priors)).long()
        )
        samples.append(
            SamplingResult(
                pos_inds=is_positive.nonzero().squeeze(1),
                neg_inds=(~is_positive).nonzero().squeeze(1),
                priors=torch.tensor(priors).float(),
                gt_bboxes=objects(*gts).bboxes,
                assign_result=assigned,
                gt_flags=torch.zeros(len(priors), dtype=torch.uint8),
            )
        )
    return torch.tensor([0.3, -1, 2, 5, -5], requires_grad=True), samples


def test_box_score_learns_from_positives_alone():
    """Targets are the IoUs of the input proposals: 1 and 400 / 800."""
    scores, samples = scores_and_samples()
    loss = build().roi_head.bbox_head.score_loss(scores, samples)
    loss.backward()
    chance = scores.detach().sigmoid()
    expected = ((1 - chance[0]) + (0.5 - chance[1]).abs()) / 5
    torch.testing.assert_close(loss.detach(), expected)
    assert (scores.grad != 0).tolist() == [True, True, False, False, False]


def gradients(model):
    torch.manual_seed(0)
    data = model.data_preprocessor(
        batch([[20, 20, 60, 60]], [[50, 30, 90, 90]]), training=True
    )
    total, _ = model.parse_losses(model.train()(**data, mode='loss'))
    total.backward()
    return {name: p.grad for name, p in model.named_parameters()}


def test_switched_off_class_loss_gives_no_gradient():
    loss = dict(type='CrossEntropyLoss', loss_weight=0.0)
    without = build()
    off = build(**{'model.roi_head.bbox_head.loss_cls': loss})
    assert not any('cls' in name for name, _ in without.named_parameters())
    off.load_state_dict(without.state_dict(), strict=False)
    expected, found = gradients(without), gradients(off)
    for name in ('weight', 'bias'):
        assert not found.pop(f'roi_head.bbox_head.fc_cls.{name}').any()
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient)


def test_final_score_is_the_geometric_mean():
    head = build().roi_head.bbox_head
    boxes = torch.tensor(
        [
            [0.0, 0, 20, 20],
            [40, 40, 80, 80],
            [2, 0, 20, 20],
            [90, 90, 140, 120],
        ]
    )
    rpn = torch.tensor([0.9, 0.4, 0.8, 0.25])
    logits = torch.tensor([0.0, 2.0, 0.0, -9.0])
    found = head.propose(
        torch.cat([torch.zeros(4, 1), boxes], 1),
        rpn,
        torch.zeros(4, 4),
        logits,
        META,
        dict(nms=dict(type='nms', iou_threshold=0.7), max_per_img=1500),
        True,
    )
    scores = np.sqrt(rpn.numpy() / (1 + np.exp(-logits.numpy())))
    # The third overlaps the first by 0.9; the last is clipped to the image.
    assert found.scores.numpy() == pytest.approx(scores[[0, 1, 3]], rel=1e-5)
    torch.testing.assert_close(
        found.bboxes,
        torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40], [45, 45, 64, 60]]),
    )
    assert not found.labels.any()


def test_an_image_without_rois_has_no_proposals():
    head = build().roi_head.bbox_head
    found = head.propose(
        torch.zeros(0, 5),
        torch.zeros(0),
        torch.zeros(0, 4),
        torch.zeros(0),
        META,
        dict(nms=dict(type='nms', iou_threshold=0.7), max_per_img=1500),
    )
    assert found.bboxes.shape == (0, 4) and found.scores.shape == (0,)


@torch.no_grad()
def predict(model, data):
    return model.eval().test_step(data)


@pytest.mark.parametrize('name', ['oln_box_shapes', 'oln_box_cls_shapes'])
def test_end_to_end(name):
    model = build(name)
    optim = optimizer_of(model)
    data = batch([[20, 20, 60, 60]], [[50, 30, 90, 90]])
    before = copy.deepcopy(model.state_dict())
    for _ in range(2):
        model.train().train_step(data, optim)
    for key, parameter in model.named_parameters():
        if 'head' in key:
            assert not torch.equal(parameter, before[key]), key
    first, second = predict(model, data), predict(model, data)
    for one, other in zip(first, second):
        assert torch.equal(one.proposals.bboxes, other.proposals.bboxes)
        scores = one.proposals.scores
        assert torch.equal(scores, other.proposals.scores)
        assert 1 < len(scores) <= 1500 and (scores.diff() <= 0).all()
        # In pixels of the original image, half the network input's.
        assert one.proposals.bboxes.max() <= 64
        if 'cls' not in name:
            assert one.pred_instances is one.proposals
    with pytest.raises(ValueError, match='hold proposals already'):
        predict(model, dict(data, data_samples=first))


def test_class_detections_are_those_of_a_standard_head():
    """Same weights, same detections: the box score does not affect them."""
    settings = {'model.test_cfg.rcnn.score_thr': 0.1}
    ours = build('oln_box_cls_shapes', **settings)
    settings['model.roi_head.type'] = 'StandardRoIHead'
    settings['model.roi_head.bbox_head'] = dict(
        _delete_=True,
        type='Shared2FCBBoxHead',
        in_channels=48,
        fc_out_channels=256,
        num_classes=8,
        reg_class_agnostic=True,
    )
    standard = build('oln_box_cls_shapes', **settings)
    torch.nn.init.normal_(ours.roi_head.bbox_head.fc_cls.weight, std=0.3)
    state = ours.state_dict()
    for name in ('weight', 'bias'):
        del state[f'roi_head.bbox_head.fc_bbox_score.{name}']
    standard.load_state_dict(state)
    data = batch([], [])
    for one, other in zip(predict(ours, data), predict(standard, data)):
        assert len(one.pred_instances) > 1
        for key in ('bboxes', 'scores', 'labels'):
            assert torch.equal(
                one.pred_instances[key], other.pred_instances[key]
            )
        # The first stage sets no proposals.
        assert 'proposals' not in other


def test_first_stage_alone():
    """NMS applies to the first stage alone, not before a second stage."""
    alone, both = build('oln_rpn_shapes'), build()
    state = alone.bbox_head.state_dict()
    for parameter in state.values():
        torch.nn.init.normal_(parameter, std=0.3)
    state['rpn_reg.bias'].fill_(0.5)
    alone.bbox_head.load_state_dict(state)
    both.rpn_head.load_state_dict(state)
    (sample,) = predict(alone, batch([]))
    assert sample.proposals is sample.pred_instances
    assert (sample.proposals.scores.diff() <= 0).all()
    x = [torch.randn(1, 48, *size) for size in SIZES]
    sample = DetDataSample(metainfo=META)
    (fed,) = both.rpn_head.predict(x, [sample])
    (left,) = alone.bbox_head.predict(x, [sample])
    assert 'proposals' not in sample
    assert len(left) < len(fed) <= 2000
    assert (iou(fed.bboxes, fed.bboxes) > 0.7).sum() > len(fed)


def test_masks_are_refused():
    with pytest.raises(ValueError, match='predicts no masks'):
        build(**{'model.roi_head.mask_head': dict(type='FCNMaskHead')})
