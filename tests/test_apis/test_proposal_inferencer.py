from __future__ import annotations

import os
import re
import shutil
import threading
import time
import weakref

import cv2
import numpy as np
import pytest
import torch
from mmdet.evaluation import bbox_overlaps
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from PIL import Image

from mmdet_owp.apis import default_model, proposal_inferencer
from mmdet_owp.apis.proposal_inferencer import ProposalInferencer
from mmdet_owp.errors import UserError

ATSS = """
_base_ = '{config}'

model = dict(
    bbox_head=dict(
        _delete_=True,
        type='ATSSHead',
        num_classes=8,
        in_channels=16,
        feat_channels=16,
        stacked_convs=1,
        norm_cfg=dict(type='GN', num_groups=4),
        anchor_generator=dict(
            type='AnchorGenerator',
            ratios=[1.0],
            octave_base_scale=8,
            scales_per_octave=1,
            strides=[4, 8, 16])),
    test_cfg=dict(score_thr=0., nms=dict(iou_threshold=0.9)))
"""


@pytest.fixture(scope='module')
def files(tiny_config, untrained, tmp_path_factory):
    """Config and checkpoint of a proposer."""
    config = tiny_config()
    return str(config), str(untrained(config))


@pytest.fixture(scope='module')
def inferencer(files):
    return ProposalInferencer(*files, device='cpu', show_progress=False)


@pytest.fixture(scope='module')
def joint(tiny_config, untrained):
    """A proposer that also classifies."""
    config = tiny_config('fcos_iou_cs_is_joint_shapes')
    config.write_text(
        config.read_text() + 'model.update(test_cfg=dict(score_thr=0.))'
    )
    return ProposalInferencer(
        str(config), str(untrained(config)), 'cpu', show_progress=False
    )


@pytest.fixture
def folder(shapes_dir, tmp_path):
    """Three images of one size, with two broken files in between."""
    for i, path in enumerate(sorted((shapes_dir / 'val').iterdir())[:3]):
        (tmp_path / f'{2 * i}.png').write_bytes(path.read_bytes())
    (tmp_path / '1.png').write_bytes(b'broken')
    (tmp_path / '3.png').write_bytes(b'')
    return tmp_path


def noise(*size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 255, (*size, 3), dtype=np.uint8)


def test_predicts_as_in_a_test(
    files, inferencer, shapes_dir, monkeypatch, mmdet_scope
):
    monkeypatch.setenv('SHAPES', str(shapes_dir))
    cfg = Config.fromfile(files[0])
    model = MODELS.build(cfg.model)
    model.load_state_dict(torch.load(files[1])['state_dict'])
    model.eval()
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    samples = list(inferencer.stream(shapes_dir / 'val'))
    assert len(samples) == len(dataset) == 4
    for i, sample in enumerate(samples):
        with torch.no_grad():
            (expected,) = model.test_step(pseudo_collate([dataset[i]]))
        assert sample.img_id == i
        assert sample.img_path == expected.img_path
        assert sample.ori_shape == (64, 64)
        assert len(sample.proposals) > 100
        for key in ('bboxes', 'scores'):
            torch.testing.assert_close(
                sample.proposals[key], expected.proposals[key], rtol=0, atol=0
            )
        # A model without classifier has no class detections.
        assert 'pred_instances' not in sample


@pytest.mark.parametrize('batch_size', [1, 2, 4])
def test_broken_files_are_left_out(inferencer, folder, batch_size):
    samples = list(inferencer.stream(folder, batch_size))
    assert [s.img_id for s in samples] == [0, 2, 4]
    assert [os.path.basename(s.img_path) for s in samples] == [
        '0.png',
        '2.png',
        '4.png',
    ]
    assert [
        (u.index, os.path.basename(u.name)) for u in inferencer.unreadable
    ] == [(1, '1.png'), (3, '3.png')]
    assert inferencer.unreadable[1].reason == 'an empty file'
    # The next call starts with a new list.
    assert len(inferencer([str(folder / '0.png')])['predictions']) == 1
    assert inferencer.unreadable == []


def test_size_of_batches_does_not_matter(inferencer):
    images = [noise(*size) for size in ((64, 64), (40, 60), (64, 64))]
    one, three = (list(inferencer.stream(images, n)) for n in (1, 3))
    assert [s.img_id for s in three] == [0, 1, 2]
    for a, b in zip(one, three):
        assert a.ori_shape == b.ori_shape
        for key, atol in (('scores', 1e-5), ('bboxes', 1e-2)):
            torch.testing.assert_close(
                a.proposals[key][:50], b.proposals[key][:50], rtol=0, atol=atol
            )


def test_kinds_of_images(inferencer, tmp_path):
    """Each is read as the picture that it shows."""
    rgb = noise(60, 90)
    image = Image.fromarray(rgb)
    image.save(tmp_path / 'plain.png')
    image.convert('L').save(tmp_path / 'gray.png')
    image.convert('RGBA').save(tmp_path / 'rgba.png')
    image.convert('CMYK').save(tmp_path / 'cmyk.jpg')
    cv2.imwrite(str(tmp_path / 'deep.png'), rgb[..., ::-1].astype('u2') * 257)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    image.save(tmp_path / 'turned.png', exif=exif)
    cv2.imwrite(str(tmp_path / 'one.png'), rgb[:1, :1])
    found = {
        os.path.basename(s.img_path): s for s in inferencer.stream(tmp_path)
    }
    assert len(found) == 7 and not inferencer.unreadable
    assert found['one.png'].ori_shape == (1, 1)
    assert found['turned.png'].ori_shape == (90, 60)
    arrays = dict(
        plain=rgb[..., ::-1],
        rgba=rgb[..., ::-1],
        deep=rgb[..., ::-1],
        turned=np.rot90(rgb[..., ::-1], -1),
    )
    arrays = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    for name, sample in zip(arrays, inferencer.stream(arrays.values())):
        boxes = found[f'{name}.png'].proposals.bboxes
        torch.testing.assert_close(
            sample.proposals.bboxes, boxes, rtol=0, atol=0
        )
        assert len(boxes) > 10
        assert (boxes >= 0).all()
        height, width = sample.ori_shape
        assert (boxes <= torch.tensor([width, height] * 2)).all()


@pytest.mark.parametrize('batch_size', [1, 4])
def test_keeps_nothing_in_memory(inferencer, batch_size):
    arrays, samples, alive = [], [], []

    def images():
        for seed in range(24):
            array = noise(32, 32, seed=seed)
            arrays.append(weakref.ref(array))
            yield array

    for sample in inferencer.stream(images(), batch_size):
        samples.append(weakref.ref(sample))
        alive.append(
            [
                sum(ref() is not None for ref in refs)
                for refs in (arrays, samples)
            ]
        )
    assert len(samples) == 24
    # The current batch, and the next one while it is read.
    assert np.max(alive) <= 2 * batch_size


def test_top_k_and_score_thr(files, inferencer, folder):
    path = str(folder / '0.png')
    whole = next(inferencer.stream(path)).proposals
    assert (whole.scores.diff() <= 0).all()
    thr = float(whole.scores[20])
    for settings, num in (
        (dict(top_k=7), 7),
        (dict(score_thr=thr), 21),
        (dict(score_thr=thr, top_k=30), 21),
        (dict(score_thr=1.0), 0),
    ):
        some = ProposalInferencer(*files, 'cpu', **settings)
        found = next(some.stream(path)).proposals
        assert len(found) == num
        torch.testing.assert_close(found.bboxes, whole.bboxes[:num])


def test_nms(files, inferencer, folder):
    path = str(folder / '0.png')
    few = next(
        ProposalInferencer(*files, 'cpu', nms=0.2).stream(path)
    ).proposals
    ious = bbox_overlaps(few.bboxes.numpy(), few.bboxes.numpy())
    np.fill_diagonal(ious, 0)
    assert ious.max() <= 0.2 + 1e-4
    assert 1 < len(few) < len(next(inferencer.stream(path)).proposals)
    config = Config.fromfile(files[0])
    config.model.test_cfg = None
    with pytest.raises(UserError, match='no NMS .* leave --nms out'):
        ProposalInferencer(config, files[1], 'cpu', nms=0.2)


def test_config_is_left_as_it_was(files):
    config = Config.fromfile(files[0])
    before = config.to_dict()
    ProposalInferencer(config, files[1], 'cpu', nms=0.2)
    assert config.to_dict() == before


def test_class_detections(joint, folder):
    sample = next(joint.stream(folder))
    assert sample.pred_instances.labels.unique().numel() > 1
    result, *others = joint(folder)['predictions']
    assert len(others) == 2
    assert result['img_path'].endswith('0.png')
    assert result['bboxes'] == sample.proposals.bboxes.tolist()
    assert result['scores'] == sample.proposals.scores.tolist()
    assert result['detections']['labels'] == (
        sample.pred_instances.labels.tolist()
    )
    assert joint.classes == tuple('abcdefgh')
    sample, *_ = joint(folder, return_datasamples=True)['predictions']
    assert sample.proposals.bboxes.tolist() == result['bboxes']


def test_detections_stand_in_for_proposals(
    files, untrained, folder, tmp_path, monkeypatch
):
    logged = []
    monkeypatch.setattr(
        proposal_inferencer,
        'print_log',
        lambda text, **kwargs: logged.append(text),
    )
    config = tmp_path / 'atss.py'
    config.write_text(ATSS.format(config=files[0]))
    atss = ProposalInferencer(
        str(config), str(untrained(config)), 'cpu', nms=0.3
    )
    samples = list(atss.stream(folder))
    assert len(samples) == 3
    for sample in samples:
        assert len(sample.proposals) > 1
        torch.testing.assert_close(
            sample.proposals.bboxes, sample.pred_instances.bboxes
        )
    (text,) = logged  # once for three images
    assert 'gives no `proposals`' in text


def test_pictures(inferencer):
    image = noise(100, 250) // 4
    sample = next(inferencer.stream(image))
    before = image.copy()
    (picture,) = inferencer.visualize([image], [sample], num_boxes=1)
    np.testing.assert_array_equal(image, before)
    # Enlarged by two; only the outline of the best box is drawn.
    assert picture.shape == (200, 500, 3)
    x1, y1, x2, y2 = np.round(2 * sample.proposals.bboxes[0].numpy())
    changed = (picture != image.repeat(2, 0).repeat(2, 1)).any(-1)
    ys, xs = np.nonzero(changed)
    assert abs(xs.min() - x1) <= 3 and abs(ys.min() - y1) <= 3
    assert abs(xs.max() - min(x2, 499)) <= 3
    assert abs(ys.max() - min(y2, 199)) <= 3


class Call:
    """Pickled as a function call."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_checkpoint_that_executes_is_refused(files, tmp_path):
    path, mark = tmp_path / 'evil.pth', tmp_path / 'executed'
    content = torch.load(files[1])
    torch.save(dict(content, extra=Call(mark)), path)
    with pytest.raises(UserError, match='evil.pth: refused.*--trust') as error:
        ProposalInferencer(files[0], str(path), 'cpu')
    assert '\n' not in str(error.value) and not mark.exists()
    ProposalInferencer(files[0], str(path), 'cpu', trust=True)
    assert mark.exists()


def test_config_text_of_a_checkpoint_is_not_executed(files, tmp_path):
    mark = tmp_path / 'executed'
    text = f'import os\nos.mkdir({str(mark)!r})\n'
    content = torch.load(files[1])
    content['meta']['cfg'] = text
    content['message_hub'] = dict(runtime_info=dict(cfg=text))
    torch.save(content, tmp_path / 'text.pth')
    ProposalInferencer(files[0], str(tmp_path / 'text.pth'), 'cpu')
    assert not mark.exists()


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(config='none.py'), 'none.py: no such config'),
        (dict(checkpoint='none.pth'), 'none.pth: no such checkpoint'),
        (dict(device='cuda:77'), "no device 'cuda:77' here"),
        (dict(device='gpu'), "no device 'gpu' here"),
    ],
)
def test_wrong_arguments(files, change, message):
    right = dict(config=files[0], checkpoint=files[1], device='cpu')
    with pytest.raises(UserError, match=message) as error:
        ProposalInferencer(**{**right, **change})
    assert '\n' not in str(error.value)


def test_config_without_a_pipeline(files):
    config = Config.fromfile(files[0])
    config.pop('test_dataloader')
    with pytest.raises(UserError, match='tiny.*has no test_dataloader'):
        ProposalInferencer(config, files[1], 'cpu')


def test_checkpoint_of_another_config(files, joint):
    with pytest.raises(UserError, match='made by another config: .*weight'):
        ProposalInferencer(Config(dict(joint.cfg.to_dict())), files[1], 'cpu')


def test_out_of_memory(inferencer, folder, monkeypatch):
    def fail(inputs):
        raise torch.cuda.OutOfMemoryError('full')

    monkeypatch.setattr(inferencer.model, 'test_step', fail)
    paths = [str(folder / '0.png'), str(folder / '2.png')]
    assert list(inferencer.stream(paths)) == []
    assert [u.reason for u in inferencer.unreadable] == [
        'no memory for images of 128 x 128'
    ] * 2
    with pytest.raises(UserError, match='in a batch of 2; .*smaller batch'):
        list(inferencer.stream(paths, batch_size=2))


def test_example_of_the_docs(repo, files, shapes_dir, capsys):
    text = (repo / 'docs/inference.md').read_text()
    (code,) = re.findall('```python\n(.*?)```', text, re.DOTALL)
    for path, here in (
        ('configs/shapes/fcos_iou_cs_is_shapes.py', files[0]),
        ('work_dirs/quickstart/fcos_iou_cs_is_shapes/epoch_3.pth', files[1]),
        ('data/shapes/val', str(shapes_dir / 'val')),
    ):
        assert path in code
        assert path in ProposalInferencer.__doc__
        code = code.replace(path, here)
    names = {}
    exec(code, names)
    assert len(names['results']) == 4
    assert names['boxes'].shape == (100, 4)
    assert capsys.readouterr().out.rstrip().endswith('[]')


def as_file(pixels):
    """What OpenCV loads of a PNG file of these pixels."""
    return cv2.imdecode(cv2.imencode('.png', pixels)[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize(
    'array',
    [
        noise(40, 56)[..., 0],
        noise(40, 56)[..., :1],
        np.dstack([noise(40, 56), noise(40, 56, seed=1)[..., 0]]),
        noise(40, 56).astype(np.uint16) * 257,
        noise(40, 56)[..., 0].astype(np.uint16) * 200,
    ],
    ids=['gray', 'gray with channel', 'BGRA', 'uint16', 'gray uint16'],
)
def test_array_is_read_as_its_file(inferencer, array):
    (sample,) = inferencer.stream(array)
    (expected,) = inferencer.stream(as_file(array))
    assert sample.ori_shape == (40, 56) and len(sample.proposals) > 10
    for key in ('bboxes', 'scores'):
        torch.testing.assert_close(
            sample.proposals[key], expected.proposals[key], rtol=0, atol=0
        )
    pictures = inferencer.visualize([array], [sample])
    expected = inferencer.visualize([as_file(array)], [sample])
    np.testing.assert_array_equal(pictures, expected)


@pytest.mark.parametrize(
    'array',
    [
        noise(40, 56) / 255,
        noise(40, 56).astype(np.float32),
        noise(40, 56).astype(np.int64),
        noise(2, 40, 56),
        noise(40, 56)[..., :2],
        noise(0, 56),
    ],
)
def test_array_that_is_no_image(inferencer, array):
    shape = re.escape(f'{array.dtype} of shape {array.shape}; give ')
    with pytest.raises(UserError, match=f'^array 1: {shape}'):
        list(inferencer.stream([noise(40, 56), array]))


def test_file_of_floating_point_pixels(inferencer, tmp_path):
    path = str(tmp_path / 'a.tif')
    cv2.imwrite(path, noise(40, 56).astype(np.float32) / 255)
    assert list(inferencer.stream(path)) == []
    (one,) = inferencer.unreadable
    assert one == (0, path, 'floating-point pixels')


def best_of(found, iou_thr=0.7):
    """Suppress greedily; return the kept boxes and scores, best first."""
    boxes = np.concatenate([f.bboxes.numpy() for f in found])
    scores = np.concatenate([f.scores.numpy() for f in found])
    ious = bbox_overlaps(boxes, boxes)
    order, kept = np.argsort(-scores, kind='stable'), []
    while len(order):
        kept.append(order[0])
        order = order[1:][ious[order[0], order[1:]] <= iou_thr]
    return boxes[kept], scores[kept]


def test_two_scales_are_merged(files, folder):
    path = str(folder / '0.png')
    single = []
    for size in (96, 160):
        config = Config.fromfile(files[0])
        config.test_dataloader.dataset.pipeline[2].scale = (size, size)
        one = ProposalInferencer(config, files[1], 'cpu')
        single.append(next(one.stream(path)).proposals)
    boxes, scores = best_of(single)
    both = ProposalInferencer(*files, 'cpu', scales=(96, 160))
    found = next(both.stream(path)).proposals
    assert len(single[0]) < len(found) < sum(map(len, single))
    np.testing.assert_allclose(found.scores, scores[:1500], atol=1e-6)
    np.testing.assert_allclose(found.bboxes, boxes[:1500], atol=1e-3)
    # Broken files and images of other sizes, in batches.
    samples = list(both.stream([*folder.iterdir(), noise(40, 60)], 3))
    assert len(samples) == 4 and len(both.unreadable) == 2


def test_flip_of_a_symmetric_image(files, inferencer):
    image = noise(64, 64)
    image = np.concatenate([image, image[:, ::-1]], axis=1)
    found = next(inferencer.stream(image)).proposals
    mirrored = found.clone()
    mirrored.bboxes = found.bboxes[:, [2, 1, 0, 3]]
    mirrored.bboxes[:, ::2] = 128 - mirrored.bboxes[:, ::2]
    _, scores = best_of([found, mirrored])
    flipping = ProposalInferencer(*files, 'cpu', flip=True)
    both = next(flipping.stream(image)).proposals
    assert len(both) > len(found)
    # Of two boxes with the same score either may be kept.
    np.testing.assert_allclose(both.scores[:100], scores[:100], atol=1e-6)


def test_scales_of_the_config_and_nms(files, folder):
    config = Config.fromfile(files[0])
    config.proposal_scales = [96, 160]
    path = str(folder / '0.png')
    by_config = ProposalInferencer(config, files[1], 'cpu', nms=0.3)
    by_hand = ProposalInferencer(*files, 'cpu', nms=0.3, scales=[96, 160])
    a, b = (next(i.stream(path)).proposals for i in (by_config, by_hand))
    torch.testing.assert_close(a.bboxes, b.bboxes, rtol=0, atol=0)
    ious = bbox_overlaps(a.bboxes.numpy(), a.bboxes.numpy())
    np.fill_diagonal(ious, 0)
    assert ious.max() <= 0.3 + 1e-4 and len(a) > 1


def test_pipeline_that_cannot_be_resized(files):
    config = Config.fromfile(files[0])
    del config.test_dataloader.dataset.pipeline[2]
    with pytest.raises(UserError, match='tiny.*no single Resize'):
        ProposalInferencer(config, files[1], 'cpu', scales=[64])


def test_reading_goes_on_while_predicting(inferencer, monkeypatch):
    """And stops with the caller."""
    taken, predicted = [], []

    def images():
        for seed in range(50):
            taken.append(seed)
            yield noise(32, 32, seed=seed)

    predict = inferencer.model.test_step

    def test_step(data):
        deadline = time.monotonic() + 10
        while len(taken) < len(predicted) + 2:  # the next one, meanwhile
            assert time.monotonic() < deadline
            time.sleep(0.001)
        predicted.append(data)
        return predict(data)

    monkeypatch.setattr(inferencer.model, 'test_step', test_step)
    stream = inferencer.stream(images())
    assert [next(stream).img_id for _ in range(3)] == [0, 1, 2]
    num_threads = threading.active_count()
    stream.close()
    assert threading.active_count() < num_threads
    assert len(taken) < 6


def test_interrupt_while_predicting(inferencer, monkeypatch):
    def interrupt(data):
        raise KeyboardInterrupt

    monkeypatch.setattr(inferencer.model, 'test_step', interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(inferencer.stream(noise(32, 32, seed=i) for i in range(50)))


def test_error_of_a_generator(inferencer):
    def images():
        yield noise(32, 32)
        raise OSError('camera lost')

    stream = inferencer.stream(images())
    assert next(stream).img_id == 0
    with pytest.raises(OSError, match='camera lost'):
        next(stream)


def test_camera_that_stops(inferencer):
    """Its images are predicted, and the stream can be closed."""
    goes_on = threading.Event()

    def images():
        yield noise(32, 32)
        yield noise(32, 32)
        goes_on.wait()

    stream = inferencer.stream(images())
    assert [next(stream).img_id for _ in range(2)] == [0, 1]
    closing = threading.Thread(target=stream.close)
    closing.start()
    closing.join(10)
    is_closed = not closing.is_alive()
    goes_on.set()
    assert is_closed


def test_model_of_the_package(files, folder, tmp_path, monkeypatch):
    stem = tmp_path / 'box'
    monkeypatch.setattr(default_model, '_STEM', stem)
    with pytest.raises(UserError, match='box.py: not in this installation'):
        ProposalInferencer()
    for path, suffix in zip(files, ('.py', '.pth')):
        shutil.copy(path, f'{stem}{suffix}')
    (sample, *_) = ProposalInferencer(device='cpu').stream(folder)
    assert len(sample.proposals) > 100
    with pytest.raises(UserError, match='both a config and its checkpoint'):
        ProposalInferencer(files[0])
