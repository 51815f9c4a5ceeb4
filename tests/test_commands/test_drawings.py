"""Tools that draw what a model sees, on the tiny data and random weights."""

from __future__ import annotations

from typing import NamedTuple

import mmcv
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.engine.detector import load_detector
from mmdet_owp.visualization import style

pytestmark = pytest.mark.usefixtures('mmdet_scope')


@pytest.fixture(scope='module')
def models(tiny_config, tmp_path_factory, shapes_dir):
    """Configs and random weights of a proposer and of the baseline."""
    folder = tmp_path_factory.mktemp('models')
    files = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('SHAPES', str(shapes_dir))
        for name in ('fcos_iou_cs_is_shapes', 'fcos_shapes'):
            config = tiny_config(name)
            torch.manual_seed(0)
            model = load_detector(str(config), None)
            model.init_weights()
            # Scores that spread.
            for cue in model.bbox_head.cues:
                predictor = getattr(model.bbox_head, f'conv_{cue}')
                torch.nn.init.normal_(predictor.weight, std=1.0)
            path = folder / f'{name}.pth'
            torch.save(dict(state_dict=model.state_dict()), path)
            files.append((config, path))
    return files


@pytest.fixture
def tool(call_tool, monkeypatch, repo, shapes_dir):
    monkeypatch.setenv('SHAPES', str(shapes_dir))
    tools = repo / 'tools' / 'analysis_tools'
    return lambda name, *words: call_tool(tools / name, *words)


@pytest.fixture
def draw(tool, tmp_path):
    """Draw a picture successfully."""

    def draw_picture(name, *words):
        assert tool(name, *words, '--out', tmp_path / 'x.png') is None

    return draw_picture


def predict(config, checkpoint, part='test'):
    """Yield image id, sample and head outputs, in the order of the data."""
    cfg = Config.fromfile(config)
    data = cfg[f'{part}_dataloader'].dataset
    data.pipeline = cfg.test_dataloader.dataset.pipeline
    dataset = DATASETS.build(data)
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(checkpoint)['state_dict'])
    with torch.no_grad():
        for i in range(len(dataset)):
            batch = pseudo_collate([dataset[i]])
            sample = model.test_step(batch)[0]
            inputs = model.data_preprocessor(batch)['inputs']
            yield sample, model.bbox_head(model.extract_feat(inputs))


def iou(a, b):
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    common = max(sides[0], 0) * max(sides[1], 0)
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return common / (sum(areas) - common)


def objects(shapes_dir, part, image_id, base):
    path = shapes_dir / f'annotations/instances_{part}.json'
    boxes = [
        a['bbox']
        for a in read_coco(path)['annotations']
        if a['image_id'] == image_id and (a['category_id'] <= 8) == base
    ]
    return [(x, y, x + w, y + h) for x, y, w, h in boxes]


@pytest.mark.slow
def test_scores(draw, models, shapes_dir, pictures):
    proposer, baseline = models
    draw(
        'draw_scores.py',
        f'a={proposer[0]},{proposer[1]}',
        f'b={baseline[0]},{baseline[1]}',
        '-k',
        30,
    )
    panels = pictures[-1].axes
    assert [p.get_title().splitlines()[0] for p in panels] == [
        'a: IoU',
        'b: class × centerness',
        'b: centerness',
    ]
    for panel, model in zip(panels, models):
        counts = np.zeros((3, 50))
        for sample, _ in predict(*model):
            sides = [
                objects(shapes_dir, 'val', sample.img_id, base)
                for base in (True, False)
            ]
            for box, score in zip(
                sample.proposals.bboxes[:30].numpy(),
                sample.proposals.scores[:30].numpy(),
            ):
                on = [any(iou(box, o) >= 0.5 for o in side) for side in sides]
                group = 0 if on[0] else 1 if on[1] else 2
                counts[group, min(int(score * 50), 49)] += 1
        heights = [
            [bar.get_height() for bar in container]
            for container in panel.containers
        ]
        np.testing.assert_array_equal(heights, counts)
        assert counts.sum() > 60 and counts[:2].sum()


@pytest.mark.slow
def test_objectness(draw, models, pictures):
    names = [
        f'{label}={model[0]},{model[1]}' for label, model in zip('ab', models)
    ]
    draw('draw_objectness.py', *names, '--num', 4)
    axes = np.array(pictures[-1].axes[:-1]).reshape(4, 4)  # last: color bar
    assert [a.get_title() for a in axes[0]] == [
        '',
        'a\nIoU',
        'b\nclass × centerness',
        'b\ncenterness',
    ]
    order = np.random.default_rng(0).permutation(4)
    for column, model, which in (
        (1, models[0], None),
        (3, models[1], None),
        (2, models[1], 'cls'),
    ):
        found = list(predict(*model))
        for row, i in enumerate(order):
            logits, _, cues = found[i][1]
            levels = [c.sigmoid()[0, 0] for c in cues]
            if which == 'cls':
                levels = [
                    s * c.sigmoid()[0].max(0).values
                    for s, c in zip(levels, logits)
                ]
            heat = axes[row, column].images[1].get_array()
            # Interpolation gives no higher values.
            peak = max(float(level.max()) for level in levels)
            assert 0.7 * peak < heat.max() <= peak + 1e-6
            low = max(float(level.min()) for level in levels)
            assert heat.min() >= low - 1e-6


class Location(NamedTuple):
    x: float
    y: float
    stride: int
    objectness: float
    box: tuple

    def within(self, boxes):
        return any(
            x1 < self.x < x2 and y1 < self.y < y2 for x1, y1, x2, y2 in boxes
        )


def locations_of(distances, cues):
    for stride, cue, dist in zip((4, 8, 16), cues, distances):
        for row, column in np.ndindex(*cue.shape[-2:]):
            x, y = (column + 0.5) * stride, (row + 0.5) * stride
            left, top, right, bottom = dist[0, :, row, column].numpy()
            box = x - left, y - top, x + right, y + bottom
            score = float(cue[0, 0, row, column].sigmoid())
            yield Location(x, y, stride, score, box)


@pytest.mark.slow
@pytest.mark.parametrize('nms', [None, 0.5])
def test_masking(draw, models, shapes_dir, pictures, nms):
    """Squares and shares by brute force, location by location."""
    threshold = 0.7
    words = [] if nms is None else ['--nms', nms]
    words += [f'--threshold={threshold}', '--num=2']
    draw('draw_masking.py', *models[0], *words)
    axes = np.array(pictures[-1].axes).reshape(2 if nms is None else 3, 2)
    columns = {
        axes[0, c].images[0].get_array().tobytes(): axes[:, c]
        for c in range(2)
    }
    checked = 0
    for sample, (_, distances, cues) in predict(*models[0], part='train'):
        image = mmcv.imread(sample.img_path, channel_order='rgb')
        panels = columns.get(image.tobytes())
        if panels is None:
            continue
        base, novel = (
            # The network input is twice as large.
            2 * np.array(objects(shapes_dir, 'train', sample.img_id, side))
            for side in (True, False)
        )
        outside = [
            location
            for location in locations_of(distances, cues)
            if not location.within(base)
        ]
        unknown = [p for p in outside if p.objectness > threshold]
        area = [p for p in outside if p.within([u.box for u in unknown])]
        for name, panel, masked in zip(
            ('pixel', 'area'), panels, (unknown, area)
        ):
            whole = np.zeros((128, 128), bool)
            for p in masked:
                x, y = int(p.x - p.stride / 2), int(p.y - p.stride / 2)
                whole[y : y + p.stride, x : x + p.stride] = True
            drawn = panel.images[1].get_array()
            expected = whole[::2, ::2]  # nearest pixels
            np.testing.assert_array_equal(drawn[..., 3] > 0, expected)
            assert tuple(drawn[expected][0]) == to_rgba(style.AREA, 0.6)
            on_novel = sum(p.within(novel) for p in masked) / len(masked)
            assert panel.get_title() == (
                f'{name}: {len(masked) / len(outside):.1%} of background\n'
                f'{on_novel:.0%} of it in dotted boxes'
            )
        if nms is not None:
            left = panels[2].images[1].get_array()[..., 3] > 0
            assert 0 < left.sum() <= (drawn[..., 3] > 0).sum()
        checked += 1
    assert checked == 2


def test_one_pass_per_image(draw, models, monkeypatch):
    from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead

    passes, forward = [], OWPFCOSHead.forward
    monkeypatch.setattr(
        OWPFCOSHead, 'forward', lambda *a: passes.append(1) or forward(*a)
    )
    draw('draw_proposals.py', *models[0], '--num', 2)
    assert len(passes) == 2


SEVERAL = ['draw_scores.py', 'draw_objectness.py']
ONE = ['draw_masking.py', 'draw_proposals.py', 'draw_locations.py']


@pytest.mark.parametrize('name', SEVERAL + ONE)
def test_bad_input(tool, models, name, tmp_path, repo):
    config, checkpoint = models[0]
    baseline, of_baseline = models[1]
    oln = repo / 'configs/shapes/oln_box_shapes.py'
    out = '--out', tmp_path / 'x.png'

    def message(config, checkpoint, *more):
        files = (config, checkpoint)
        if name in SEVERAL:
            files = [f'a={config},{checkpoint}']
        status = tool(name, *files, *out, *more)
        return status if status == 2 else status.replace('error: ', '', 1)

    assert message(config, 'none.pth').startswith('none.pth: no such check')
    assert message('none.py', checkpoint).startswith('none.py: no such conf')
    # Weights of another model must not stay random.
    assert message(baseline, checkpoint).startswith(
        f'{checkpoint}: made by another config'
    )
    assert message(oln, of_baseline).startswith(
        f'{of_baseline}: made by another config'
    )
    assert message(config, checkpoint, '--device', 'gpu').startswith(
        "no device 'gpu' here"
    )
    nowhere = (
        '--cfg-options',
        'train_dataloader.dataset.data_root=none/',
        'test_dataloader.dataset.data_root=none/',
    )
    assert 'no such data' in message(config, checkpoint, *nowhere)
    assert message(config, checkpoint, '--num', 0) == 2
    assert tool(name, config, *out) == 2


def test_bad_values(tool, models, tmp_path):
    (tmp_path / 'file').touch()
    out = tmp_path / 'file/x.png'
    status = tool('draw_proposals.py', *models[0], '--num', 1, '--out', out)
    assert status.startswith(f'error: cannot write {out}: ')
    status = tool(
        'draw_masking.py', *models[0], '--threshold', 2, '--out', 'x.png'
    )
    assert status == 'error: threshold must lie in [0, 1], not 2.0'


def test_models_of_different_images(tool, models, tmp_path, shapes_dir):
    """The second model is tested on the training images."""
    config, checkpoint = models[0]
    other = tmp_path / 'other.py'
    other.write_text(
        f"_base_ = '{config}'\n"
        'test_dataloader = dict(dataset=dict('
        "ann_file='annotations/instances_train.json', "
        "data_prefix=dict(img='train/')))\n"
    )
    status = tool(
        'draw_objectness.py',
        f'a={other},{checkpoint}',
        f'b={config},{checkpoint}',
        '--num',
        8,
        '--out',
        tmp_path / 'x.png',
    )
    assert status.startswith(f'error: {config}: image ')
    assert 'is not in its test set' in status
