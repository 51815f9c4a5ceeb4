import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_owp.partitions import SHAPES_BASE, SHAPES_NOVEL
from mmdet_owp.shapes import generator as shapes
from mmdet_owp.shapes.generator import FAMILIES, draw_image, make_shapes

ROOT = Path(__file__).resolve().parents[2]
MAKE = ROOT / 'tools' / 'dataset_tools' / 'make_shapes.py'
TRIVIAL = ROOT / 'tools' / 'analysis_tools' / 'trivial_proposals.py'


@pytest.fixture(scope='module')
def drawn():
    return [
        draw_image(np.random.default_rng([7, 0, i]), 128) for i in range(250)
    ]


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp('shapes')
    assert make_shapes(out, seed=3, num_train=12, num_val=5, size=64)
    return out


def read(out, split):
    path = Path(out) / 'annotations' / f'instances_{split}.json'
    return json.loads(path.read_text())


def files(out):
    return {
        str(p.relative_to(out)): p.read_bytes()
        for p in sorted(Path(out).rglob('*'))
        if p.is_file()
    }


# Drawing -------------------------------------------------------------------


def test_families_are_those_of_the_partition():
    assert set(shapes.OUTLINES) == set(FAMILIES.values())
    assert len(SHAPES_BASE) >= 6 and len(SHAPES_NOVEL) >= 12


def test_every_family_appears(drawn):
    seen = {o.category_id for _, objects in drawn for o in objects}
    assert seen == set(FAMILIES)


@pytest.mark.parametrize('family', sorted(shapes.OUTLINES))
@pytest.mark.parametrize('side', [9, 30, 115])
def test_alpha_has_the_asked_size(family, side):
    for seed in range(5):
        alpha = shapes.draw_alpha(np.random.default_rng(seed), family, side)
        assert 0 <= alpha.min() and alpha.max() <= 1
        ys, xs = np.nonzero(alpha > 0.01)
        longest = max(np.ptp(xs), np.ptp(ys)) + 1
        # An outline of length side touches side to side + 1 pixels, plus
        # rounding; very sharp tips fade out sooner.
        assert side - 3 <= longest <= side + 2
        assert max(alpha.shape) <= side + 2


def _silhouette(family, rng, angle):
    """The outline turned by an angle, 48 pixels wide, as a flat vector."""
    solids, holes = shapes.OUTLINES[family](rng)
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, s], [-s, c]])
    corners = np.concatenate(solids) @ turn
    centre = (corners.min(0) + corners.max(0)) / 2
    scale = 44 / np.ptp(corners, axis=0).max()
    canvas = np.zeros((48, 48), np.uint8)
    for polygons, value in ((solids, 1), (holes, 0)):
        for p in polygons:
            points = np.round((p @ turn - centre) * scale + 24)
            cv2.fillPoly(canvas, [points.astype(np.int32)], value)
    return canvas.ravel().astype(float)


def test_novel_outlines_differ_from_base_ones():
    # However turned, a novel silhouette overlaps no base one like its own.
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
            assert o.bbox == (
                xs.min(),
                ys.min(),
                np.ptp(xs) + 1,
                np.ptp(ys) + 1,
            )
            assert max(o.bbox[2:]) >= shapes.MIN_SIDE
            assert len(xs) >= shapes.MIN_AREA
            taken += o.mask
        assert taken.max() <= 1


def test_visible_masks_follow_from_the_order_of_painting(monkeypatch):
    painted = []
    paint = shapes._paint_object

    def record(rng, palette, image, alpha, x, y):
        painted.append((alpha.copy(), x, y))
        paint(rng, palette, image, alpha, x, y)

    monkeypatch.setattr(shapes, '_paint_object', record)
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
            assert share >= shapes.MIN_VISIBLE
            occluded += share < 1
            above |= full
    assert occluded > 10


def test_painting_changes_the_object_and_little_else():
    rng = np.random.default_rng(0)
    for family in FAMILIES.values():
        alpha = shapes.draw_alpha(rng, family, 40)
        image = np.full((96, 96, 3), 128, np.float32)
        shapes._paint_object(rng, shapes._palette(rng), image, alpha, 20, 25)
        change = np.abs(image - 128).mean(axis=2)
        full = np.zeros((96, 96), np.uint8)
        full[25 : 25 + alpha.shape[0], 20 : 20 + alpha.shape[1]] = alpha >= 0.5
        assert change[full > 0].mean() > 15
        near = cv2.dilate(full, np.ones((15, 15), np.uint8))
        assert change[near == 0].max() < 0.01


def _ks(a, b):
    """Kolmogorov-Smirnov statistic and its critical value at 0.1%."""
    values = np.sort(np.concatenate([a, b]))
    cdf_a = np.searchsorted(np.sort(a), values, 'right') / len(a)
    cdf_b = np.searchsorted(np.sort(b), values, 'right') / len(b)
    critical = 1.95 * math.sqrt((len(a) + len(b)) / (len(a) * len(b)))
    return np.abs(cdf_a - cdf_b).max(), critical


def test_base_and_novel_share_size_place_and_colour(drawn):
    rows, novel = [], []
    for image, objects in drawn:
        for o in objects:
            x, y, w, h = o.bbox
            pixels = image[o.mask]
            rows.append(
                [
                    max(w, h),
                    x + w / 2,
                    y + h / 2,
                    *pixels.mean(axis=0),
                    pixels.std(),
                ]
            )
            novel.append(o.category_id in SHAPES_NOVEL)
    rows, novel = np.array(rows), np.array(novel)
    assert len(rows) > 1000
    assert abs(novel.mean() - 0.5) < 3.3 * 0.5 / math.sqrt(len(novel))
    for column in rows.T:
        distance, critical = _ks(column[novel], column[~novel])
        assert distance < critical
    # The test can fail: a quarter larger would be noticed.
    distance, critical = _ks(rows[novel, 0] * 1.25, rows[~novel, 0])
    assert distance > critical


def test_sizes_and_numbers(drawn):
    numbers = [len(objects) for _, objects in drawn]
    assert 0 in numbers and max(numbers) <= 10 and np.median(numbers) >= 5
    sides = np.array(
        [max(o.bbox[2:]) for _, objects in drawn for o in objects]
    )
    assert sides.min() < 12 and sides.max() > 0.7 * 128
    assert np.mean((sides >= 16) & (sides <= 64)) > 0.6


# Files ---------------------------------------------------------------------


def test_coco_file_and_images(made):
    pycocotools = pytest.importorskip('pycocotools.coco')
    for split, number in (('train', 12), ('val', 5)):
        content = read(made, split)
        coco = pycocotools.COCO(
            str(made / 'annotations' / f'instances_{split}.json')
        )
        assert len(coco.imgs) == number
        assert {c['id']: c['name'] for c in content['categories']} == FAMILIES
        ids = [a['id'] for a in content['annotations']]
        assert ids == list(range(1, len(ids) + 1))
        novel = [
            a['category_id'] in SHAPES_NOVEL for a in content['annotations']
        ]
        assert 0 < sum(novel) < len(novel)
        for index, info in enumerate(content['images']):
            image = cv2.imread(str(made / split / info['file_name']))
            split_index = ['train', 'val'].index(split)
            expected, objects = draw_image(
                np.random.default_rng([3, split_index, index]), 64
            )
            assert np.array_equal(image, expected)
            assert (info['height'], info['width']) == image.shape[:2]
            annotations = coco.imgToAnns[info['id']]
            assert [
                (a['category_id'], tuple(a['bbox']), a['area'])
                for a in annotations
            ] == [(o.category_id, o.bbox, o.mask.sum()) for o in objects]


def test_images_do_not_depend_on_their_number(made, tmp_path):
    make_shapes(tmp_path, seed=3, num_train=4, num_val=2, size=64)
    few, many = files(tmp_path), files(made)
    pictures = [name for name in few if name.endswith('.png')]
    assert len(pictures) == 6
    assert all(few[name] == many[name] for name in pictures)


def test_finished_set_is_kept_and_another_refused(made):
    before = files(made)
    times = {p: os.stat(made / p).st_mtime_ns for p in before}
    assert not make_shapes(made, seed=3, num_train=12, num_val=5, size=64)
    assert times == {p: os.stat(made / p).st_mtime_ns for p in before}
    with pytest.raises(FileExistsError, match='--overwrite') as error:
        make_shapes(made, seed=4, num_train=12, num_val=5, size=64)
    assert '\n' not in str(error.value)
    assert files(made) == before


def test_overwrite_replaces_the_whole_set(tmp_path):
    make_shapes(tmp_path / 'a', seed=0, num_train=6, num_val=3, size=48)
    make_shapes(
        tmp_path / 'a', seed=1, num_train=2, num_val=2, size=48, overwrite=True
    )
    make_shapes(tmp_path / 'b', seed=1, num_train=2, num_val=2, size=48)
    assert files(tmp_path / 'a') == files(tmp_path / 'b')


def test_interrupted_call_is_redone(made, tmp_path):
    calls = []

    def interrupt_in_val(numbers):
        calls.append(1)
        for n in numbers:
            if len(calls) == 2 and n == 3:
                raise KeyboardInterrupt
            yield n

    arguments = dict(seed=3, num_train=12, num_val=5, size=64)
    with pytest.raises(KeyboardInterrupt):
        make_shapes(tmp_path, **arguments, progress=interrupt_in_val)
    assert not list(tmp_path.rglob('*.json'))
    assert make_shapes(tmp_path, **arguments)
    assert files(tmp_path) == files(made)


def test_missing_image_is_noticed(made, tmp_path):
    arguments = dict(seed=3, num_train=12, num_val=5, size=64)
    make_shapes(tmp_path, **arguments)
    (tmp_path / 'val' / '000002.png').unlink()
    assert make_shapes(tmp_path, **arguments)
    assert files(tmp_path) == files(made)


@pytest.mark.parametrize('text', ['{"images": []}', '[]', 'not json'])
def test_foreign_data_are_never_touched(tmp_path, text):
    path = tmp_path / 'annotations' / 'instances_train.json'
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(FileExistsError, match='not made by this generator'):
        make_shapes(tmp_path, num_train=1, num_val=1, overwrite=True)
    assert path.read_text() == text


@pytest.mark.parametrize(
    'arguments', [dict(seed=-1), dict(num_train=0), dict(size=20)]
)
def test_arguments_out_of_range(tmp_path, arguments):
    with pytest.raises(ValueError, match='must be'):
        make_shapes(tmp_path / 'out', **arguments)
    assert not (tmp_path / 'out').exists()


# Command lines -------------------------------------------------------------


def run(*command):
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        env=environment,
    )


def test_needs_neither_torch_nor_mmdet():
    code = (
        'import sys, mmdet_owp.shapes.generator; sys.exit(bool('
        '{"torch", "mmdet", "mmcv", "mmengine"} & set(sys.modules)))'
    )
    assert run('-c', code).returncode == 0


def test_make_shapes_command(tmp_path):
    arguments = [
        MAKE,
        '--out',
        tmp_path,
        '--train',
        3,
        '--val',
        2,
        '--size',
        64,
    ]
    first = run(*arguments)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith('made: 3 training and 2 validation')
    assert len(list(tmp_path.glob('*/*.png'))) == 5
    assert run(*arguments).stdout.startswith('already there')
    refused = run(*arguments, '--seed', 1)
    assert refused.returncode == 1
    assert refused.stderr.count('\n') == 1 and '--overwrite' in refused.stderr
    assert run(*arguments, '--seed', 1, '--overwrite').returncode == 0


@pytest.fixture(scope='module')
def trivial():
    spec = importlib.util.spec_from_file_location('trivial', TRIVIAL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_random_boxes_are_like_the_training_boxes(trivial):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 0.5, (500, 2))
    train = np.concatenate([corners, rng.uniform(0.1, 0.5, (500, 2))], axis=1)
    boxes = trivial.random_boxes(rng, train, 4000, 200, 100)
    assert boxes.min() >= 0
    assert np.all(boxes[:, :2] + boxes[:, 2:] <= np.array([200, 100]) + 1e-9)
    assert np.allclose(
        boxes[:, 2:].mean(0) / [200, 100], train[:, 2:].mean(0), rtol=0.05
    )


def test_regions_find_what_is_of_one_colour(trivial):
    # So that their failure on the shapes is the shapes' doing.
    image = np.full((128, 128, 3), 60, np.uint8)
    squares = [(10, 12, 30, 20), (60, 70, 50, 40), (80, 10, 12, 12)]
    for k, (x, y, w, h) in enumerate(squares):
        image[y : y + h, x : x + w] = np.roll((200, 120, 30), k)
    boxes, scores = trivial.region_boxes(image, 100)
    assert np.all(np.diff(scores) <= 0)
    for x, y, w, h in squares:
        bx, by, bw, bh = boxes.T
        iw = np.minimum(bx + bw, x + w) - np.maximum(bx, x)
        ih = np.minimum(by + bh, y + h) - np.maximum(by, y)
        inter = iw.clip(0) * ih.clip(0)
        assert (inter / (bw * bh + w * h - inter)).max() > 0.8


@pytest.mark.parametrize('method', ['random', 'regions'])
def test_trivial_proposals_command(made, tmp_path, method):
    out = tmp_path / 'results.json'
    result = run(
        TRIVIAL,
        made / 'annotations' / 'instances_train.json',
        made / 'annotations' / 'instances_val.json',
        '--images',
        made / 'val',
        '--method',
        method,
        '--out',
        out,
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.split('\n')
    assert lines[1].startswith(f'{method} novel_drop-base/AR@100 ')
    assert 0 <= float(lines[1].split()[-1]) <= 1
    results = json.loads(out.read_text())
    assert {r['image_id'] for r in results} <= {1, 2, 3, 4, 5}
    assert all(min(r['bbox'][2:]) > 0 for r in results)
