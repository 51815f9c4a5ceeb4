"""Unknown masking against mmdet's FocalLoss, by hand and by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.losses import FocalLoss
from mmdet.structures.bbox import bbox_overlaps
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope

import mmdet_owp.register  # noqa: F401
from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead
from mmdet_owp.models.losses.unknown_mask_focal_loss import (
    UnknownMaskFocalLoss,
)
from mmdet_owp.models.task_modules.unknown_masking import (
    MaskingInputs,
    UnknownMasking,
)

pytestmark = pytest.mark.usefixtures('mmdet_scope')
CLASSES = 3
NMS = dict(type='nms', iou_threshold=0.6)
FACTOR = torch.tensor(7.0)
hubs = itertools.count()


@pytest.fixture(autouse=True)
def hub():
    """A message hub without an iteration, as where there is no runner."""
    return MessageHub.get_instance(f'test_unknown_masking_{next(hubs)}')


@pytest.fixture
def iteration(hub):
    """Set the iteration that a runner would be at, and its last."""

    def set_iteration(now, last=90000):
        hub.update_info('iter', now)
        hub.update_info('max_iters', last)

    return set_iteration


@pytest.fixture(scope='module')
def head():
    with DefaultScope.overwrite_default_scope('mmdet'):
        return OWPFCOSHead(CLASSES, 8, feat_channels=8, norm_cfg=None)


def inputs_of(
    objectness, in_object=None, boxes=None, sizes=None, strides=(8,)
):
    objectness = torch.as_tensor(objectness)
    if in_object is None:
        in_object = torch.zeros(len(objectness))
    in_object = torch.as_tensor(in_object).bool()
    sizes = sizes or [(1, len(objectness))]
    return MaskingInputs(objectness, in_object, boxes, sizes, strides)


def random_inputs(n=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, CLASSES, generator=generator) * 4
    labels = torch.randint(0, CLASSES + 1, (n,), generator=generator)
    objectness = torch.rand(n, generator=generator)
    weight = (torch.rand(n, generator=generator) > 0.2).float()
    return logits, labels, objectness, weight


def with_gradient(head, loss, logits, labels, weight=None, inputs=None):
    """Losses of the head with ``loss``, and the gradient at the logits."""
    head.loss_cls = loss
    head.masking = getattr(loss, 'masking', None)
    logits = logits.clone().requires_grad_()
    losses = head._cls_losses(logits, labels, FACTOR, weight, inputs)
    losses['loss_cls'].backward()
    return losses, logits.grad


def masked_by(head, loss, logits, labels, inputs, weight=None):
    """Which locations have no gradient although FocalLoss gives one."""
    _, expected = with_gradient(head, FocalLoss(), logits, labels, weight)
    _, gradient = with_gradient(head, loss, logits, labels, weight, inputs)
    masked = (gradient == 0).all(1) & (expected != 0).any(1)
    # The others are equal to the bit: the divisor is the same.
    assert torch.equal(gradient[~masked], expected[~masked])
    return masked


# --- without masking it is FocalLoss -----------------------------------------


@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('mode', ['pixel', 'area'])
@pytest.mark.parametrize('off', ['threshold', 'start', 'nothing unknown'])
def test_focal_loss_when_off(head, iteration, weighted, mode, off):
    iteration(4999)
    focal = dict(alpha=0.3, gamma=1.5, loss_weight=2.0)
    ours = UnknownMaskFocalLoss(
        threshold=1 if off == 'threshold' else 0.5,
        start_iter=5000 if off == 'start' else 0,
        mode=mode,
        **focal,
    )
    for seed in range(5):
        logits, labels, objectness, weight = random_inputs(seed=seed)
        weight = weight if weighted else None
        if off == 'nothing unknown':
            objectness = objectness / 2
        inputs = inputs_of(
            objectness, boxes=torch.tensor([[0.0, 0.0, 400.0, 400.0]] * 40)
        )
        losses, gradient = with_gradient(
            head, ours, logits, labels, weight, inputs
        )
        expected, expected_gradient = with_gradient(
            head, FocalLoss(**focal), logits, labels, weight
        )
        assert losses['masked_background'] == 0
        assert torch.equal(losses['loss_cls'], expected['loss_cls'])
        assert torch.equal(gradient, expected_gradient)


def test_the_loss_itself_is_focal_loss():
    logits, labels, _, weight = random_inputs()
    loss = UnknownMaskFocalLoss(threshold=0.0)(logits, labels, weight)
    assert torch.equal(loss, FocalLoss()(logits, labels, weight))


# --- which locations are masked ----------------------------------------------


def test_pixels_by_hand(head):
    """Only unknown background is masked, out of six kinds of location."""
    bg = CLASSES
    labels = torch.tensor([bg, bg, bg, 0, bg, bg])
    objectness = torch.tensor([0.96, 0.94, 0.96, 0.96, 0.96, 0.97])
    in_object = [False, False, True, True, False, False]
    weight = torch.tensor([1.0, 1, 1, 1, 0, 1])
    loss = UnknownMaskFocalLoss(threshold=0.95)
    logits = random_inputs(6)[0]
    inputs = inputs_of(objectness, in_object)
    masked = masked_by(head, loss, logits, labels, inputs, weight)
    assert masked.tolist() == [True, False, False, False, False, True]

    log, _ = with_gradient(head, loss, logits, labels, weight, inputs)
    # Background: 0, 1, 2 and 5. The one of weight 0 belongs to a crowd.
    assert float(log['masked_background']) == 2 / 4
    assert float(log['background_objectness_max']) == pytest.approx(0.97)


def test_threshold_edge():
    threshold = torch.tensor(0.95)
    above = torch.nextafter(threshold, torch.tensor(1.0))
    masked = UnknownMasking(threshold=float(threshold)).mask(
        torch.ones(2, dtype=torch.bool),
        inputs_of(torch.stack([threshold, above])),
    )
    assert masked.tolist() == [False, True]


@pytest.mark.parametrize(
    'start_iter, last, first',
    [
        (0, 90000, 0),
        (5000, 90000, 5000),
        (5 / 90, 90000, 5000),
        (30 / 90, 90000, 30000),
        (60 / 90, 90000, 60000),
        (5 / 90, 1314, 73),
    ],
)
def test_start(head, iteration, start_iter, last, first):
    loss = UnknownMaskFocalLoss(threshold=0.5, start_iter=start_iter)
    logits, labels, objectness, _ = random_inputs()
    inputs = inputs_of(objectness)
    for now, expected in ((first - 1, False), (first, True), (last, True)):
        if now < 0:
            continue
        iteration(now, last)
        masked = masked_by(head, loss, logits, labels, inputs)
        assert bool(masked.any()) == expected
        log, _ = with_gradient(head, loss, logits, labels, None, inputs)
        assert (float(log['masked_background']) > 0) == expected
        # Logged before the start, too.
        assert float(log['background_objectness_max']) == float(
            objectness[labels == CLASSES].max()
        )


def test_without_a_runner():
    assert UnknownMasking(start_iter=0).has_started()
    assert not UnknownMasking(start_iter=1).has_started()
    assert not UnknownMasking(start_iter=0.01).has_started()


@pytest.mark.skipif(
    not hasattr(torch, 'compile'), reason='PyTorch before 2 cannot compile'
)
def test_compiled_masking_starts(iteration):
    masking = UnknownMasking(threshold=0.5, start_iter=3)
    compiled = torch.compile(masking.mask, backend='eager')
    _, labels, objectness, _ = random_inputs()
    masked = []
    for now in range(6):
        iteration(now)
        masked.append(compiled(labels == CLASSES, inputs_of(objectness)).any())
    assert masked == [False] * 3 + [True] * 3


# --- areas -------------------------------------------------------------------


def brute_force(scene, threshold, nms=None):
    """Every pair of locations, one after the other."""
    sizes, strides, boxes, labels, in_object, objectness = scene
    num_images = len(labels) // sum(h * w for h, w in sizes)
    locations = [
        (image, (x + 0.5) * stride, (y + 0.5) * stride)
        for (h, w), stride in zip(sizes, strides)
        for image in range(num_images)
        for y in range(h)
        for x in range(w)
    ]
    outside = (labels == CLASSES) & ~in_object
    seeds = np.flatnonzero(outside & (objectness > threshold)).tolist()
    if nms is not None:
        images = [location[0] for location in locations]
        seeds = greedy_nms(seeds, images, objectness, torch.from_numpy(boxes))
    masked = np.zeros(len(locations), bool)
    for i in seeds:
        x1, y1, x2, y2 = boxes[i]
        for j, (image, x, y) in enumerate(locations):
            if image == locations[i][0] and x1 < x < x2 and y1 < y < y2:
                masked[j] = outside[j]
    return masked


def greedy_nms(seeds, images, objectness, boxes):
    """Per image, by descending objectness."""
    kept = []
    for i in sorted(seeds, key=lambda i: -objectness[i]):
        rivals = [k for k in kept if images[k] == images[i]]
        overlaps = bbox_overlaps(boxes[i : i + 1], boxes[rivals])
        if not rivals or overlaps.max() <= NMS['iou_threshold']:
            kept.append(i)
    return kept


side = st.integers(1, 5)


@st.composite
def scenes(draw):
    sizes = draw(st.lists(st.tuples(side, side), min_size=1, max_size=3))
    strides = [8 * 2**i for i in range(len(sizes))]
    n = draw(st.integers(1, 3)) * sum(h * w for h, w in sizes)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # Whole multiples of 4 fall on the centers of locations, too.
    corners = 4.0 * rng.integers(-5, 25, (n, 2, 2)) + rng.choice([0, 1.3])
    boxes = np.concatenate([corners.min(1), corners.max(1)], 1)
    labels = np.where(rng.random(n) < 0.2, 0, CLASSES)
    in_object = rng.random(n) < 0.3
    objectness = rng.random(n).astype(np.float32)
    boxes = boxes.astype(np.float32)
    return sizes, strides, boxes, labels, in_object, objectness


@pytest.mark.parametrize('nms', [None, NMS])
@settings(max_examples=120, deadline=None)
@given(scene=scenes(), threshold=st.sampled_from([0.0, 0.3, 0.9, 0.99]))
def test_areas_by_brute_force(head, nms, scene, threshold):
    sizes, strides, boxes, labels, in_object, objectness = scene
    masked = masked_by(
        head,
        UnknownMaskFocalLoss(threshold=threshold, mode='area', nms=nms),
        random_inputs(len(labels))[0],
        torch.from_numpy(labels),
        inputs_of(
            objectness, in_object, torch.from_numpy(boxes), sizes, strides
        ),
    )
    expected = brute_force(scene, threshold, nms)
    np.testing.assert_array_equal(masked.numpy(), expected)


@pytest.mark.parametrize(
    'nms, expected',
    [(None, [True, True, True, True]), (NMS, [True, True, True, False])],
)
def test_nms_leaves_areas_out(nms, expected):
    """Two similar boxes; the better one extends less far to the right."""
    boxes = torch.tensor(
        [[-1.0, -1, 21, 9], [-1, -1, 29, 9], [0, 0, 0, 0], [0, 0, 0, 0]]
    )
    masked = UnknownMasking(mode='area', nms=nms).mask(
        torch.ones(4, dtype=torch.bool),
        inputs_of([0.98, 0.97, 0.1, 0.1], boxes=boxes, sizes=[(1, 4)]),
    )
    assert masked.tolist() == expected


def test_nms_keeps_images_apart():
    """The second image's box, moved by 36 pixels, is nearly the first's."""
    boxes = torch.tensor([[0.0, 0, 35, 35], [-36, -36, 5, 5]])
    masked = UnknownMasking(mode='area', nms=NMS).mask(
        torch.ones(2, dtype=torch.bool),
        inputs_of([0.98, 0.97], boxes=boxes, sizes=[(1, 1)]),
    )
    assert masked.all()


# --- arguments and use -------------------------------------------------------


def test_no_background_at_all(head):
    logits, _, objectness, _ = random_inputs()
    log, _ = with_gradient(
        head,
        UnknownMaskFocalLoss(threshold=0.0),
        logits,
        torch.zeros(40, dtype=torch.long),
        None,
        inputs_of(objectness),
    )
    assert log['loss_cls'] > 0
    assert log['masked_background'] == log['background_objectness_max'] == 0


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(threshold=1.5), 'threshold must lie in'),
        (dict(start_iter=-1), 'start_iter must be'),
        (dict(start_iter=2.5), 'start_iter must be'),
        (dict(mode='box'), 'mode must be'),
        (dict(nms=NMS), "needs mode='area'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        UnknownMaskFocalLoss(**arguments)
