"""Outlines, objects and scenes of the built-in data."""

import math

import cv2
import numpy as np
import pytest

from mmdet_owp.partitions import SHAPES_BASE, SHAPES_NOVEL
from mmdet_owp.shapes import scenes
from mmdet_owp.shapes.objects import FAMILIES, draw_alpha, paint_object
from mmdet_owp.shapes.outlines import OUTLINES
from mmdet_owp.shapes.scenes import draw_image
from mmdet_owp.shapes.textures import draw_palette


@pytest.fixture(scope='module')
def drawn():
    return [
        draw_image(np.random.default_rng([7, 0, i]), 128) for i in range(250)
    ]


def test_families_are_those_of_the_partition():
    assert set(OUTLINES) == set(FAMILIES.values())
    assert len(SHAPES_BASE) >= 6 and len(SHAPES_NOVEL) >= 12


def test_every_family_appears(drawn):
    seen = {o.category_id for _, objects in drawn for o in objects}
    assert seen == set(FAMILIES)


@pytest.mark.parametrize('family', sorted(OUTLINES))
@pytest.mark.parametrize('side', [9, 30, 115])
def test_alpha_has_the_asked_size(family, side):
    for seed in range(5):
        alpha = draw_alpha(np.random.default_rng(seed), family, side)
        assert 0 <= alpha.min() and alpha.max() <= 1
        ys, xs = np.nonzero(alpha > 0.01)
        longest = max(np.ptp(xs), np.ptp(ys)) + 1
        # An outline of this length touches side or side + 1 pixels, plus
        # rounding; very sharp tips fade out earlier.
        assert side - 3 <= longest <= side + 2
        assert max(alpha.shape) <= side + 2


def _silhouette(family, rng, angle):
    """Draw an outline, rotated and 48 pixels wide, as a flat vector."""
    solids, holes = OUTLINES[family](rng)
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, s], [-s, c]])
    corners = np.concatenate(solids) @ turn
    center = (corners.min(0) + corners.max(0)) / 2
    scale = 44 / np.ptp(corners, axis=0).max()
    canvas = np.zeros((48, 48), np.uint8)
    for polygons, value in ((solids, 1), (holes, 0)):
        for p in polygons:
            points = np.round((p @ turn - center) * scale + 24)
            cv2.fillPoly(canvas, [points.astype(np.int32)], value)
    return canvas.ravel().astype(float)


def test_novel_outlines_differ_from_base_ones():
    # Whatever the rotation: IoU of silhouettes.
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * math.pi, 36, endpoint=False)
    base = np.array(
        [_silhouette(f, rng, a) for f in SHAPES_BASE.values() for a in angles]
    )
    for family in SHAPES_NOVEL.values():
        novel = _silhouette(family, rng, 0)
        common = base @ novel
        iou = common / (base.sum(1) + novel.sum() - common)
        assert iou.max() < 0.85, family


def test_same_generator_same_pixels_and_other_seed_differs():
    first, objects = draw_image(np.random.default_rng([1, 0, 5]), 96)
    again, objects_again = draw_image(np.random.default_rng([1, 0, 5]), 96)
    other, _ = draw_image(np.random.default_rng([2, 0, 5]), 96)
    assert np.array_equal(first, again)
    assert [o.bbox for o in objects] == [o.bbox for o in objects_again]
    assert not np.array_equal(first, other)


def test_boxes_are_tight_around_what_is_visible(drawn):
    for image, objects in drawn:
        assert image.shape == (128, 128, 3) and image.dtype == np.uint8
        taken = np.zeros((128, 128), int)
        for o in objects:
            ys, xs = np.nonzero(o.mask)
            size = np.ptp(xs) + 1, np.ptp(ys) + 1
            assert o.bbox == (xs.min(), ys.min(), *size)
            assert max(o.bbox[2:]) >= scenes.MIN_SIDE
            assert len(xs) >= scenes.MIN_AREA
            taken += o.mask
        assert taken.max() <= 1


def test_visible_masks_follow_from_the_order_of_painting(monkeypatch):
    painted = []
    paint = scenes.paint_object

    def record(rng, palette, image, alpha, x, y):
        painted.append((alpha.copy(), x, y))
        paint(rng, palette, image, alpha, x, y)

    monkeypatch.setattr(scenes, 'paint_object', record)
    occluded = 0
    for seed in range(40):
        painted.clear()
        _, objects = draw_image(np.random.default_rng(seed), 128)
        assert len(objects) == len(painted)
        above = np.zeros((128, 128), bool)
        for o, (alpha, x, y) in zip(reversed(objects), reversed(painted)):
            full = np.zeros((128, 128), bool)
            full[y : y + alpha.shape[0], x : x + alpha.shape[1]] = alpha >= 0.5
            assert np.array_equal(o.mask, full & ~above)
            share = o.mask.sum() / full.sum()
            assert share >= scenes.MIN_VISIBLE
            occluded += share < 1
            above |= full
    assert occluded > 10


def test_painting_changes_the_object_and_little_else():
    rng = np.random.default_rng(0)
    for family in FAMILIES.values():
        alpha = draw_alpha(rng, family, 40)
        image = np.full((96, 96, 3), 128, np.float32)
        paint_object(rng, draw_palette(rng), image, alpha, 20, 25)
        change = np.abs(image - 128).mean(axis=2)
        full = np.zeros((96, 96), np.uint8)
        full[25 : 25 + alpha.shape[0], 20 : 20 + alpha.shape[1]] = alpha >= 0.5
        assert change[full > 0].mean() > 15
        near = cv2.dilate(full, np.ones((15, 15), np.uint8))
        assert change[near == 0].max() < 0.01


def _ks(a, b):
    """Return the Kolmogorov-Smirnov statistic and its 0.1% quantile."""
    values = np.sort(np.concatenate([a, b]))
    cdf_a = np.searchsorted(np.sort(a), values, 'right') / len(a)
    cdf_b = np.searchsorted(np.sort(b), values, 'right') / len(b)
    critical = 1.95 * math.sqrt((len(a) + len(b)) / (len(a) * len(b)))
    return np.abs(cdf_a - cdf_b).max(), critical


def test_base_and_novel_share_size_place_and_color(drawn):
    rows, novel = [], []
    for image, objects in drawn:
        for o in objects:
            x, y, w, h = o.bbox
            pixels = image[o.mask]
            color = *pixels.mean(axis=0), pixels.std()
            rows.append([max(w, h), x + w / 2, y + h / 2, *color])
            novel.append(o.category_id in SHAPES_NOVEL)
    rows, novel = np.array(rows), np.array(novel)
    assert len(rows) > 1000
    assert abs(novel.mean() - 0.5) < 3.3 * 0.5 / math.sqrt(len(novel))
    for column in rows.T:
        distance, critical = _ks(column[novel], column[~novel])
        assert distance < critical
    # The test is sensitive: it detects a quarter larger.
    distance, critical = _ks(rows[novel, 0] * 1.25, rows[~novel, 0])
    assert distance > critical


def test_sizes_and_numbers(drawn):
    numbers = [len(objects) for _, objects in drawn]
    assert 0 in numbers and max(numbers) <= 10 and np.median(numbers) >= 5
    sides = [max(o.bbox[2:]) for _, objects in drawn for o in objects]
    sides = np.array(sides)
    assert sides.min() < 12 and sides.max() > 0.7 * 128
    assert np.mean((sides >= 16) & (sides <= 64)) > 0.6
