"""Unknown masking against mmdet's FocalLoss, by hand and by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.losses import FocalLoss
from mmdet.structures.bbox import bbox_overlaps
from mmengine.logging import MessageHub

from mmdet_owp.models.losses.unknown_mask_focal_loss import (
    Locations,
    UnknownMaskFocalLoss,
)

CLASSES = 3
NMS = dict(type='nms', iou_threshold=0.6)


@pytest.fixture
def iteration():
    """Set the iteration that a runner would be at, and its last."""
    name = 'test_unknown_mask_focal_loss'
    hub = MessageHub.get_instance(name)

    def set_iteration(now, last=90000):
        hub.update_info('iter', now)
        hub.update_info('max_iters', last)

    yield set_iteration
    MessageHub._instance_dict.pop(name)


def locations(
    objectness, in_object=None, boxes=None, sizes=None, strides=(8,)
):
    objectness = torch.as_tensor(objectness)
    if in_object is None:
        in_object = torch.zeros(len(objectness), dtype=torch.bool)
    sizes = sizes or [(1, len(objectness))]
    return Locations(
        objectness, torch.as_tensor(in_object), boxes, sizes, strides
    )


def random_inputs(n=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, CLASSES, generator=generator) * 4
    labels = torch.randint(0, CLASSES + 1, (n,), generator=generator)
    objectness = torch.rand(n, generator=generator)
    weight = (torch.rand(n, generator=generator) > 0.2).float()
    return logits, labels, objectness, weight


def with_gradient(loss, logits, *args, **kwargs):
    """Value and gradient at the logits."""
    logits = logits.clone().requires_grad_()
    value = loss(logits, *args, **kwargs)
    if isinstance(value, dict):
        value = value['loss_cls']
    value.backward()
    return value.detach(), logits.grad


def masked_by(loss, logits, labels, where, weight=None):
    """Which locations have no gradient that FocalLoss gives one."""
    _, expected = with_gradient(
        FocalLoss(), logits, labels, weight, avg_factor=torch.tensor(7.0)
    )
    _, gradient = with_gradient(
        loss,
        logits,
        labels,
        weight,
        avg_factor=torch.tensor(7.0),
        locations=where,
    )
    masked = (gradient == 0).all(1) & (expected != 0).any(1)
    # The others have theirs, to the bit: nothing else divides the loss.
    assert torch.equal(gradient[~masked], expected[~masked])
    return masked


# --- without a mask it is FocalLoss ------------------------------------------


@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('mode', ['pixel', 'area'])
@pytest.mark.parametrize('off', ['threshold', 'start', 'nothing unknown'])
def test_focal_loss_when_off(iteration, weighted, mode, off):
    iteration(4999)
    arguments = dict(
        threshold=1 if off == 'threshold' else 0.5,
        start_iter=5000 if off == 'start' else 0,
    )
    for seed in range(5):
        logits, labels, objectness, weight = random_inputs(seed=seed)
        if off == 'nothing unknown':
            objectness = objectness / 2
        where = locations(
            objectness, boxes=torch.tensor([[0.0, 0.0, 400.0, 400.0]] * 40)
        )
        arguments.update(alpha=0.3, gamma=1.5, loss_weight=2.0, mode=mode)
        ours = UnknownMaskFocalLoss(**arguments)
        stock = FocalLoss(alpha=0.3, gamma=1.5, loss_weight=2.0)
        weight = weight if weighted else None
        for factor in (None, torch.tensor(3.0)):
            got = with_gradient(
                ours,
                logits,
                labels,
                weight,
                avg_factor=factor,
                locations=where,
            )
            expected = with_gradient(
                stock, logits, labels, weight, avg_factor=factor
            )
            assert torch.equal(got[0], expected[0])
            assert torch.equal(got[1], expected[1])


# --- which locations are masked ----------------------------------------------


def test_pixels_by_hand():
    """Of six kinds of location only unknown background is masked."""
    bg = CLASSES
    labels = torch.tensor([bg, bg, bg, 0, bg, bg])
    objectness = torch.tensor(
        [0.96, 0.94, 0.96, 0.96, 0.96, 0.97]
    ).requires_grad_()
    in_object = [False, False, True, True, False, False]
    weight = torch.tensor([1.0, 1, 1, 1, 0, 1])
    loss = UnknownMaskFocalLoss(threshold=0.95)
    logits = random_inputs(6)[0]
    where = locations(objectness, in_object)
    masked = masked_by(loss, logits, labels, where, weight)
    assert masked.tolist() == [True, False, False, False, False, True]
    assert objectness.grad is None

    log = loss(logits, labels, weight, locations=where)
    # Background: 0, 1, 2 and 5. The one of weight 0 belongs to a crowd.
    assert float(log['masked_background']) == 2 / 4
    assert float(log['background_objectness_max']) == pytest.approx(0.97)
    assert not log['masked_background'].requires_grad
    assert not log['background_objectness_max'].requires_grad


def test_threshold_edge():
    threshold = torch.tensor(0.95)
    above = torch.nextafter(threshold, torch.tensor(1.0))
    labels = torch.full((2,), CLASSES)
    masked = masked_by(
        UnknownMaskFocalLoss(threshold=float(threshold)),
        random_inputs(2)[0],
        labels,
        locations(torch.stack([threshold, above])),
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
def test_start(iteration, start_iter, last, first):
    loss = UnknownMaskFocalLoss(threshold=0.5, start_iter=start_iter)
    logits, labels, objectness, _ = random_inputs()
    for now, expected in ((first - 1, False), (first, True), (last, True)):
        if now < 0:
            continue
        iteration(now, last)
        masked = masked_by(loss, logits, labels, locations(objectness))
        assert bool(masked.any()) == expected
        log = loss(logits, labels, locations=locations(objectness))
        assert (float(log['masked_background']) > 0) == expected
        # Logged before the start, too.
        assert float(log['background_objectness_max']) == float(
            objectness[labels == CLASSES].max()
        )


def test_without_a_runner():
    name = 'test_without_a_runner'
    MessageHub.get_instance(name)
    assert UnknownMaskFocalLoss(start_iter=0).has_started()
    assert not UnknownMaskFocalLoss(start_iter=1).has_started()
    assert not UnknownMaskFocalLoss(start_iter=0.01).has_started()
    MessageHub._instance_dict.pop(name)


def test_compiled_loss_starts(iteration):
    loss = UnknownMaskFocalLoss(threshold=0.5, start_iter=3)
    compiled = torch.compile(loss, backend='eager')
    logits, labels, objectness, _ = random_inputs()
    shares = []
    for now in range(6):
        iteration(now)
        log = compiled(logits, labels, locations=locations(objectness))
        shares.append(float(log['masked_background']))
    assert shares[:3] == [0] * 3 and min(shares[3:]) > 0


# --- areas -------------------------------------------------------------------


def brute_force(
    objectness,
    background,
    in_object,
    boxes,
    sizes,
    strides,
    threshold,
    kept_by=None,
):
    """Every pair of locations, one after the other."""
    num_images = len(objectness) // sum(h * w for h, w in sizes)
    places = [
        (image, (x + 0.5) * stride, (y + 0.5) * stride)
        for (h, w), stride in zip(sizes, strides)
        for image in range(num_images)
        for y in range(h)
        for x in range(w)
    ]
    outside = background & ~in_object
    seeds = [
        i
        for i in range(len(places))
        if outside[i] and objectness[i] > threshold
    ]
    if kept_by is not None:
        seeds = kept_by(seeds, [place[0] for place in places])
    masked = np.zeros(len(places), bool)
    for i in seeds:
        x1, y1, x2, y2 = boxes[i]
        for j, (image, x, y) in enumerate(places):
            if (
                outside[j]
                and image == places[i][0]
                and (x1 < x < x2 and y1 < y < y2)
            ):
                masked[j] = True
    return masked


@st.composite
def scenes(draw):
    sizes = draw(
        st.lists(
            st.tuples(st.integers(1, 5), st.integers(1, 5)),
            min_size=1,
            max_size=3,
        )
    )
    strides = [8 * 2**i for i in range(len(sizes))]
    n = draw(st.integers(1, 3)) * sum(h * w for h, w in sizes)
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    # Whole multiples of 4 fall on the centres of locations, too.
    corners = 4.0 * rng.integers(-5, 25, (n, 2, 2)) + rng.choice([0, 1.3])
    boxes = np.concatenate([corners.min(1), corners.max(1)], 1)
    labels = np.where(rng.random(n) < 0.2, 0, CLASSES)
    in_object = rng.random(n) < 0.3
    objectness = rng.random(n).astype(np.float32)
    return (
        sizes,
        strides,
        boxes.astype(np.float32),
        labels,
        in_object,
        (objectness),
    )


@settings(max_examples=150, deadline=None)
@given(scene=scenes(), threshold=st.sampled_from([0.0, 0.5, 0.9, 0.99]))
def test_areas_by_brute_force(scene, threshold):
    sizes, strides, boxes, labels, in_object, objectness = scene
    masked = masked_by(
        UnknownMaskFocalLoss(threshold=threshold, mode='area'),
        random_inputs(len(labels))[0],
        torch.from_numpy(labels),
        locations(
            objectness, in_object, torch.from_numpy(boxes), sizes, strides
        ),
    )
    expected = brute_force(
        objectness,
        labels == CLASSES,
        in_object,
        boxes,
        sizes,
        strides,
        threshold,
    )
    np.testing.assert_array_equal(masked.numpy(), expected)


@settings(max_examples=100, deadline=None)
@given(scene=scenes())
def test_areas_after_nms_by_brute_force(scene):
    sizes, strides, boxes, labels, in_object, objectness = scene
    boxes = torch.from_numpy(boxes)

    def greedy(seeds, images):
        kept = []
        for i in sorted(seeds, key=lambda i: -objectness[i]):
            rivals = [k for k in kept if images[k] == images[i]]
            if (
                not rivals
                or bbox_overlaps(boxes[i : i + 1], boxes[rivals]).max() <= 0.6
            ):
                kept.append(i)
        return kept

    expected = brute_force(
        objectness,
        labels == CLASSES,
        in_object,
        boxes.numpy(),
        sizes,
        strides,
        0.3,
        greedy,
    )
    masked = masked_by(
        UnknownMaskFocalLoss(threshold=0.3, mode='area', nms=NMS),
        random_inputs(len(labels))[0],
        torch.from_numpy(labels),
        locations(objectness, in_object, boxes, sizes, strides),
    )
    np.testing.assert_array_equal(masked.numpy(), expected)


def test_nms_leaves_areas_out():
    """Two like boxes, of which the better reaches less far to the right."""
    boxes = torch.tensor(
        [[-1.0, -1, 21, 9], [-1, -1, 29, 9], [0, 0, 0, 0], [0, 0, 0, 0]]
    )
    labels = torch.full((4,), CLASSES)
    for nms, expected in (
        (None, [True, True, True, True]),
        (NMS, [True, True, True, False]),
    ):
        where = locations([0.98, 0.97, 0.1, 0.1], boxes=boxes, sizes=[(1, 4)])
        masked = masked_by(
            UnknownMaskFocalLoss(mode='area', nms=nms),
            random_inputs(4)[0],
            labels,
            where,
        )
        assert masked.tolist() == expected


def test_nms_keeps_images_apart():
    """The second image's box, moved by 41 pixels, would be the first's."""
    boxes = torch.tensor([[0.0, 0, 40, 40], [-41, -41, -1, -1]])
    loss = UnknownMaskFocalLoss(mode='area', nms=NMS)
    kept = loss._suppress(
        boxes[:, None],
        torch.tensor([[0.9], [0.8]]),
        torch.ones(2, 1, dtype=torch.bool),
    )
    assert kept.all()


# --- arguments and use -------------------------------------------------------


@pytest.mark.parametrize('mode', ['pixel', 'area'])
def test_half_precision(mode):
    logits, labels, objectness, weight = random_inputs()
    boxes = torch.tensor([[0.0, 0.0, 90.0, 400.0]] * 40)
    where = locations(objectness, boxes=boxes)
    loss = UnknownMaskFocalLoss(threshold=0.5, mode=mode)
    value, gradient = with_gradient(
        loss, logits, labels, weight, locations=where
    )
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half, half_gradient = with_gradient(
            loss, logits.bfloat16(), labels, weight.bfloat16(), locations=where
        )
    assert half.isfinite() and half_gradient.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), value, rtol=0.02, atol=0)
    assert torch.equal((half_gradient == 0).all(1), (gradient == 0).all(1))


def test_no_background_at_all():
    logits, _, objectness, _ = random_inputs()
    log = UnknownMaskFocalLoss(threshold=0.0)(
        logits,
        torch.zeros(40, dtype=torch.long),
        locations=locations(objectness),
    )
    assert log['loss_cls'] > 0
    assert log['masked_background'] == log['background_objectness_max'] == 0


def test_head_without_objectness_is_told():
    logits, labels, _, _ = random_inputs()
    with pytest.raises(TypeError, match='locations'):
        UnknownMaskFocalLoss()(logits, labels)


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
