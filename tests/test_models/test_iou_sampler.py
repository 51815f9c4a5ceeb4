"""IoUSampler against a dense assignment written in numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.task_modules.prior_generators import MlvlPointGenerator

from mmdet_owp.models.losses.box_loss import aligned_overlaps
from mmdet_owp.models.task_modules.iou_sampler import IoUSampler
from mmdet_owp.models.task_modules.locations import covered_locations

SIZES = [(13, 16), (7, 8), (4, 4), (2, 2), (1, 1)]
STRIDES = [8, 16, 32, 64, 128]
RANGES = [(-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8)]


def dense_assignment(batch_boxes, radius):
    """Every location against every box, in float32 as mmdet computes.

    Returns:
        tuple: regression box, cue box and whether in any box, per location,
        in the sampler's order and with its numbering.
    """
    regression, cue, inside_any = [], [], []
    first_box = np.cumsum([0] + [len(b) for b in batch_boxes])
    for (h, w), stride, (low, high) in zip(SIZES, STRIDES, RANGES):
        y, x = (np.mgrid[:h, :w].astype(np.float32) + np.float32(0.5)) * stride
        points = np.stack([x, y], -1).reshape(-1, 1, 2)
        reach = np.float32(np.inf if radius is None else radius * stride)
        for boxes, first in zip(batch_boxes, first_box):
            begin, end = boxes[:, :2], boxes[:, 2:]
            sides = np.concatenate([points - begin, end - points], 2)
            inside = (sides > 0).all(2)
            far = sides.max(2)
            fits = inside & (low <= far) & (far <= high)
            middle = (begin + end) / 2
            central = (middle - reach < points) & (points < middle + reach)
            smallest = []
            for chosen in (fits & central.all(2), fits):
                areas = np.where(chosen, (end - begin).prod(1), np.inf)
                areas = np.pad(areas, ((0, 0), (0, 1)), constant_values=9e9)
                best = areas.argmin(1)  # the last column: no box
                smallest.append(np.where(best == len(boxes), -1, first + best))
            center, fit = smallest
            regression += center.tolist()
            cue += np.where(center >= 0, center, fit).tolist()
            inside_any += inside.any(1).tolist()
    return regression, cue, inside_any


def assert_same_as_dense(batch_boxes, radius):
    batch = [np.array(b, np.float32).reshape(-1, 4) for b in batch_boxes]
    tensors = [torch.from_numpy(b) for b in batch]
    regression, cue, inside = dense_assignment(batch, radius)
    for candidates in ('foreground', 'center'):
        sampler = IoUSampler(candidates, center_radius=radius)
        assigned = sampler.assign(SIZES, STRIDES, RANGES, tensors)
        assert assigned.regression.tolist() == regression
        expected = cue if candidates == 'foreground' else regression
        assert assigned.cue.tolist() == expected
    assert covered_locations(SIZES, STRIDES, tensors).tolist() == inside


coordinate = st.one_of(
    st.integers(-40, 170).map(float),  # on locations and on their borders
    st.floats(-300, 600, width=32),
)
size = st.one_of(st.integers(0, 130).map(float), st.floats(0, 700, width=32))
box = st.tuples(coordinate, coordinate, size, size).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(box, max_size=6), min_size=1, max_size=2),
    st.sampled_from([None, 0.5, 1.5]),
)
def test_same_as_dense_on_random_boxes(batch_boxes, radius):
    """Boxes outside the image, without area, identical, nested, none."""
    assert_same_as_dense(batch_boxes, radius)


@pytest.mark.parametrize(
    'batch_boxes',
    [
        [[], []],
        [[(10, 10, 90, 90)] * 3, [(20, 20, 40, 40), (10, 10, 90, 90)]],
        [[(30, 30, 30, 80), (-500, -500, -10, -10), (1e4, 0, 2e4, 9)]],
        [[(-1000, -1000, 1000, 1000), (4, 4, 12, 12), (12, 12, 4, 4)]],
    ],
    ids=['none', 'identical and nested', 'no area and outside', 'huge'],
)
def test_same_as_dense_on_corner_cases(batch_boxes):
    assert_same_as_dense(batch_boxes, 1.5)


def test_same_as_dense_on_300_boxes():
    rng = np.random.default_rng(0)
    center = rng.uniform(0, 128, (300, 2))
    half = np.exp(rng.uniform(0, 5, (300, 2))) / 2
    boxes = np.concatenate([center - half, center + half], 1)
    assert_same_as_dense([boxes], 1.5)


@pytest.mark.parametrize('strides', [STRIDES, [7, 12, 33, 50, 91]])
def test_covered_to_the_bit(strides):
    """Sides on, just below and just above locations; infinite."""
    rng = np.random.default_rng(0)
    stride = rng.choice(strides, (400, 4))
    sides = ((rng.integers(-2, 18, (400, 4)) + 0.5) * stride).astype('f')
    toward = rng.choice(np.array([-np.inf, np.inf], 'f'), sides.shape)
    sides = np.where(
        rng.random(sides.shape) < 0.5, np.nextafter(sides, toward), sides
    )
    odd = rng.choice(np.array([np.inf, -np.inf], 'f'), sides.shape)
    sides = np.where(rng.random(sides.shape) < 0.02, odd, sides)
    for batch in np.split(sides, 100):  # four images with a box each
        expected = []
        for (h, w), step in zip(SIZES, strides):
            y, x = (np.mgrid[:h, :w].astype('f') + np.float32(0.5)) * step
            for x1, y1, x2, y2 in batch:
                inside = (x1 < x) & (x < x2) & (y1 < y) & (y < y2)
                expected += inside.ravel().tolist()
        boxes = [torch.from_numpy(box[None]) for box in batch]
        assert covered_locations(SIZES, strides, boxes).tolist() == expected


def test_no_number_does_no_harm():
    """Exploded predictions must not write outside the canvas."""
    boxes = torch.tensor([[float('nan')] * 4, [10.0, 10, 30, 30]])
    expected = covered_locations(SIZES, STRIDES, [boxes[1:]])
    assert torch.equal(covered_locations(SIZES, STRIDES, [boxes]), expected)


def test_locations_are_those_of_mmdet():
    """A box around a point of MlvlPointGenerator contains only that point."""
    points = MlvlPointGenerator(STRIDES).grid_priors(SIZES, device='cpu')
    points = torch.cat(points)
    ranges = [(-1, 1e8)] * 5
    for index in range(0, len(points), 7):
        boxes = torch.cat([points[index] - 1, points[index] + 1])[None]
        assigned = IoUSampler('foreground').assign(
            SIZES, STRIDES, ranges, [boxes]
        )
        met = (assigned.cue == 0).nonzero().flatten()
        assert torch.equal(points[met], points[index].expand(len(met), 2))
        assert index in met


def test_cue_box_follows_the_regression():
    """By hand: at (20, 20) the smallest box is not the regressed one.

    Box 0 is centered there; box 1 is smaller and contains the point, but its
    center (33, 33) is farther than 1.5 strides of 8 away.
    """
    boxes = torch.tensor([[0.0, 0, 40, 40], [16, 16, 50, 50]])
    assigned = IoUSampler('foreground').assign(
        [(8, 8)], [8], [(-1, 64)], [boxes]
    )
    at = 2 * 8 + 2  # row 2, column 2: (20, 20)
    assert assigned.regression[at] == 0 and assigned.cue[at] == 0
    # (28, 12) is not a center location and only in box 0.
    outer = 1 * 8 + 4
    assert assigned.regression[outer] == -1 and assigned.cue[outer] == 0
    # (44, 44) is only in box 1, within 12 pixels of its center.
    assert assigned.regression[5 * 8 + 5] == 1


@pytest.mark.parametrize(
    'candidates, chosen',
    [
        ('center', [True, True, False, False, True]),
        ('foreground', [True, True, True, True, True]),
        ('center+hard', [True, True, False, True, True]),
        ('all', [True, True, True, True, True]),
    ],
)
def test_iou_sampling_at_the_threshold(candidates, chosen):
    """IoUs 1, 0.25, 0.3 and below by hand: below 0.3 becomes 0, 0.3 stays."""
    target = torch.tensor([[0.0, 0, 10, 10]]).repeat(5, 1)
    pred = torch.tensor(
        [
            [0.0, 0, 10, 10],
            [0, 0, 5, 5],
            [0, 0, 10, 3],
            [0, 0, 10, 2.9],
            [20, 20, 30, 30],
        ],
        requires_grad=True,
    )
    in_regression = torch.tensor([True, True, False, False, True])
    # 0.3 in single precision, so that the third IoU is not below it.
    sampler = IoUSampler(candidates, iou_thr=float(np.float32(0.3)))
    ious, _ = aligned_overlaps(pred, target)
    where, targets = sampler.sample(ious, in_regression)
    assert where.tolist() == chosen
    torch.testing.assert_close(targets, torch.tensor([1, 0, 0.3, 0, 0]))
    assert not targets.requires_grad


def test_low_targets_are_kept_without_a_threshold():
    ious = torch.tensor([0.01])
    _, targets = IoUSampler('center').sample(ious, torch.tensor([True]))
    assert torch.equal(targets, ious)


def test_memory_does_not_grow_with_locations_times_boxes():
    """The largest tensor for 300 boxes on 22,400 locations stays small."""
    sizes = [(100, 168), (50, 84), (25, 42), (13, 21), (7, 11)]
    rng = np.random.default_rng(0)
    center = rng.uniform(0, 800, (300, 2))
    half = np.exp(rng.uniform(1, 6, (300, 2))) / 2
    boxes = torch.from_numpy(
        np.concatenate([center - half, center + half], 1)
    ).float()
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.numel())
            return out

    with Watch():
        IoUSampler('center+hard', 0.3).assign(sizes, STRIDES, RANGES, [boxes])
    locations = sum(h * w for h, w in sizes)
    assert locations <= largest < 10 * locations
    assert largest < locations * len(boxes) / 30


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(candidates='centre'), 'candidates must be one of'),
        (dict(candidates='center+hard'), 'needs iou_thr > 0'),
        (dict(iou_thr=2), 'iou_thr must lie in'),
        (dict(center_radius=0), 'center_radius must be positive'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        IoUSampler(**arguments)
