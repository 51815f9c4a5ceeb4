"""Exported proposals against those of the detector and brute force."""

from __future__ import annotations

import re
from copy import deepcopy
from functools import lru_cache

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mmengine.config import Config

from mmdet_owp.deployment import onnx_check, onnx_export
from mmdet_owp.engine.detector import load_detector
from mmdet_owp.errors import UserError

onnx = pytest.importorskip('onnx', reason='onnx is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')

# Other sizes than in the export; all but the second are padded. The first has
# fewer than 200 locations on each level, the others more on the finest.
SIZES = [(20, 30), (64, 64), (40, 100), (101, 45)]
HEADS = dict(
    iou={},
    mean=dict(objectness=('centerness', 'iou')),
    tower=dict(conditional='tower', objectness=('centerness',)),
    fpn=dict(conditional='fpn', norm_on_bbox=False),
    baseline=dict(centerness_on_reg=False),
    joint={},
    border=dict(
        refine='border',
        conditional='tower',
        objectness=('iou', 'presence'),
        presence_convs=1,
    ),
)
CONFIGS = dict(baseline='fcos_shapes', joint='fcos_iou_cs_is_joint_shapes')


@pytest.fixture(scope='module')
def make(tiny_config):
    """Build a random detector with 200 candidates per level."""

    @lru_cache(None)
    def read(name):
        return Config.fromfile(tiny_config(name))

    def make_detector(cue='iou', **proposals):
        config = deepcopy(read(CONFIGS.get(cue, 'fcos_iou_cs_is_shapes')))
        config.model.bbox_head.update(HEADS[cue])
        config.model.test_cfg.proposals.update(nms_pre=200, **proposals)
        config.model.data_preprocessor.bgr_to_rgb = cue == 'mean'
        torch.manual_seed(0)
        detector = load_detector(config, None)
        # Different scores and sizes, so that the order is unique.
        for name, parameter in detector.bbox_head.named_parameters():
            if re.match(r'conv_(?!reg).*weight', name):
                torch.nn.init.normal_(parameter, std=0.3)
            elif name == 'conv_reg.bias':
                torch.nn.init.constant_(parameter, 1.0)
        return detector

    return make_detector


@pytest.fixture
def export(tmp_path):
    """Export a detector, return its session."""

    def export_and_open(detector, with_nms=True):
        path = str(tmp_path / 'new' / 'model.onnx')
        onnx_export.export_onnx(detector, path, with_nms)
        return onnx_check.open_model(path)

    return export_and_open


def pixels(batch, size):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (batch, *size, 3), np.uint8)


def iou(box, boxes):
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    common = (high - low).clip(0).prod(1)
    area, areas = ((b[..., 2:] - b[..., :2]).prod(-1) for b in (box, boxes))
    return common / np.maximum(area + areas - common, 1e-12)


def brute_force(boxes, scores, max_num, threshold):
    """Indices of the boxes that NMS keeps, best first."""
    kept = []
    for i in np.argsort(-scores, kind='stable'):
        overlaps = iou(boxes[i], boxes[kept]) if kept else np.zeros(1)
        if scores[i] >= 0 and overlaps.max() <= threshold:
            kept.append(i)
    return kept[:max_num]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for (boxes, scores), (eager_boxes, eager_scores) in zip(found, expected):
        assert (np.diff(scores) <= 0).all()
        assert boxes.shape == eager_boxes.shape
        # In order: no two scores are equal.
        np.testing.assert_allclose(scores, eager_scores, rtol=0, atol=1e-5)
        np.testing.assert_allclose(boxes, eager_boxes, rtol=0, atol=1e-3)


@pytest.mark.parametrize('cue', HEADS)
def test_proposals_are_those_of_the_detector(cue, make, export, tmp_path):
    detector = make(cue)
    session = export(detector)
    for size in SIZES:
        images = pixels(2, size)
        expected = onnx_check.propose_eagerly(detector, images)
        found = onnx_check.propose_by_onnx(session, images, None)
        assert_same(found, expected)
        assert min(len(scores) for _, scores in expected) > 10
    # The file has the classifier only if it ranks the proposals.
    model = onnx.load(tmp_path / 'new' / 'model.onnx')
    classifier = [w for w in model.graph.initializer if 'cls' in w.name]
    assert bool(classifier) == (cue == 'baseline')


def test_nms_inside_is_nms_outside(make, export):
    detector = make(max_per_img=25)
    cfg = detector.bbox_head.proposal_cfg
    outside, inside = export(detector, False), export(detector)
    for size, candidates in zip(
        SIZES, (64 + 16 + 4, 200 + 64 + 16, 200 + 128 + 32, 200 + 128 + 32)
    ):
        images = pixels(3, size)
        boxes, scores = outside.run(None, dict(images=images))
        assert scores.shape == (3, candidates)
        assert (np.diff(scores) <= 0).all()
        kept = [brute_force(b, s, 25, 0.6) for b, s in zip(boxes, scores)]
        expected = [(b[k], s[k]) for b, s, k in zip(boxes, scores, kept)]
        for session in (inside, outside):
            found = onnx_check.propose_by_onnx(session, images, cfg)
            assert_same(found, expected)
        _, _, image = inside.run(None, dict(images=images))
        assert (np.diff(image) >= 0).all()
        assert np.bincount(image).tolist() == [len(k) for k in kept]


@pytest.mark.parametrize('with_nms', [True, False])
def test_no_proposals(with_nms, make, export):
    """All distances are 0, so no box has an area."""
    detector = make()
    torch.nn.init.constant_(detector.bbox_head.conv_reg.bias, -1e4)
    session = export(detector, with_nms)
    images = pixels(2, (40, 100))
    cfg = detector.bbox_head.proposal_cfg
    for found in (
        onnx_check.propose_eagerly(detector, images),
        onnx_check.propose_by_onnx(session, images, cfg),
    ):
        assert [(b.shape, s.shape) for b, s in found] == [((0, 4), (0,))] * 2


def test_small_boxes_are_left_out(make, export):
    detector = make(min_bbox_size=6)
    images = pixels(1, (64, 64))
    found = onnx_check.propose_by_onnx(export(detector), images, None)
    ((boxes, _),) = found
    assert len(boxes) < len(onnx_check.propose_eagerly(make(), images)[0][0])
    assert (boxes[:, 2:] - boxes[:, :2]).min() > 6
    assert_same(found, onnx_check.propose_eagerly(detector, images))


class Suppression(torch.nn.Module):
    """The operator alone."""

    def forward(self, boxes, scores):
        return onnx_export.NonMaxSuppression.apply(boxes, scores, 20, 0.5)


@pytest.fixture(scope='module')
def suppression(tmp_path_factory):
    path = str(tmp_path_factory.mktemp('onnx') / 'nms.onnx')
    onnx_export.trace(
        Suppression(),
        (torch.rand(1, 3, 4).cumsum(2), torch.rand(1, 1, 3)),
        path,
        dynamic_axes=dict(boxes={1: 'n'}, scores={2: 'n'}, kept={0: 'kept'}),
        input_names=['boxes', 'scores'],
        output_names=['kept'],
    )
    return onnx_check.open_model(path)


@settings(max_examples=60, deadline=None)
@given(
    corners=arrays(
        np.int64,
        st.tuples(st.integers(1, 40), st.just(4)),
        elements=st.integers(0, 8),
    ),
    seed=st.integers(0, 99),
)
def test_suppression(suppression, corners, seed):
    """Boxes often overlap, also exactly at the threshold, or are empty."""
    first, second = corners[:, :2], corners[:, 2:]
    boxes = np.concatenate(
        [np.minimum(first, second), np.maximum(first, second)], 1
    ).astype(np.float32)
    scores = np.random.default_rng(seed).permutation(len(boxes))
    scores = (scores / 40 - 0.1).astype(np.float32)
    scores[scores < 0] = onnx_export.NO_BOX
    expected = brute_force(boxes, scores, 20, 0.5)
    (by_onnx,) = suppression.run(
        None, dict(boxes=boxes[None], scores=scores[None, None])
    )
    eager = Suppression()(
        torch.from_numpy(boxes)[None], torch.from_numpy(scores)[None, None]
    )
    assert by_onnx[:, 2].tolist() == eager[:, 2].tolist() == expected


def test_difference():
    boxes = np.array([[0, 0, 9, 9], [5, 5, 20, 20.0]])
    scores = np.array([0.9, 0.8])
    same = onnx_check.largest_difference(
        (boxes, scores), (boxes[::-1], scores[::-1])
    )
    assert same == (0, 0)
    # A missing proposal counts with its distance to the next.
    fewer = boxes[:1], scores[:1]
    expected = 11, pytest.approx(0.1)
    assert onnx_check.largest_difference((boxes, scores), fewer) == expected
    assert onnx_check.largest_difference(fewer, (boxes, scores)) == expected
    none = boxes[:0], scores[:0]
    assert onnx_check.largest_difference(none, none) == (0, 0)
    assert onnx_check.largest_difference(fewer, none)[0] == float('inf')


def test_refusals(make, tmp_path, monkeypatch):
    path = str(tmp_path / 'model.onnx')
    with pytest.raises(UserError, match='soft_nms.*--nms outside'):
        soft = dict(type='soft_nms', iou_threshold=0.5)
        onnx_export.export_onnx(make(nms=soft), path)
    detector = make()
    detector.bbox_head = torch.nn.Identity()
    with pytest.raises(UserError, match=r'tiny.*OWPFCOSHead.*not Identity'):
        onnx_export.export_onnx(detector, path)
    detector = make()
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(UserError, match='pip install onnx onnxruntime'):
        onnx_export.export_onnx(detector, path)
    assert not (tmp_path / 'model.onnx').exists()


def test_images(tiny_config, shapes_dir, tmp_path):
    config = Config.fromfile(tiny_config())
    path = next((shapes_dir / 'val').glob('*.png'))
    (image,) = onnx_check.read_images(config, [str(path)])
    expected = cv2.resize(cv2.imread(str(path)), (128, 128))
    np.testing.assert_array_equal(image, expected)
    with pytest.raises(UserError, match='no_such.png'):
        list(onnx_check.read_images(config, ['no_such.png']))
    for content in (b'', b'text'):
        (tmp_path / 'bad.png').write_bytes(content)
        with pytest.raises(UserError, match='bad.png: not an image'):
            list(onnx_check.read_images(config, [str(tmp_path / 'bad.png')]))


def test_docs(repo, make, export, shapes_dir, tmp_path, monkeypatch):
    """The example of docs/deployment.md, against the detector."""
    detector = make()
    export(detector)
    monkeypatch.chdir(tmp_path / 'new')
    image = cv2.imread(str(next((shapes_dir / 'val').glob('*.png'))))
    image = image[:50]
    cv2.imwrite('image.png', image)
    (code,) = re.findall(
        r'```python\n(.*?)```', (repo / 'docs/deployment.md').read_text(), re.S
    )
    # The size of the config.
    names = {}
    code = code.replace('1333', '128').replace('800', '128')
    exec(code, names)
    resized = cv2.resize(image, (128, 100))
    ((boxes, scores),) = onnx_check.propose_eagerly(detector, resized[None])
    assert len(boxes) > 10
    assert_same([(names['boxes'], names['scores'])], [(boxes / 2, scores)])
