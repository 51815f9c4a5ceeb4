"""Read the proposal files of every detector that writes them."""

import functools
import io
import json
import os
import pickle
import sys

import numpy as np
import pytest
import torch
from mmdet.evaluation import DumpDetResults, DumpProposals
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_owp.errors import UserError
from mmdet_owp.evaluation.proposal_files import read_proposals

IMAGES = [
    dict(id=2**40, file_name='train/b.jpg'),
    dict(id=7, file_name='a.jpg'),
    dict(id=8, file_name='c.jpg'),
]


@pytest.fixture
def found():
    """Boxes x1, y1, x2, y2 and scores per image; none of the last image."""
    rng = np.random.default_rng(0)
    boxes = [rng.uniform(0, 50, (n, 4)).astype(np.float32) for n in (3, 2, 0)]
    for b in boxes:
        b[:, 2:] += b[:, :2]
    return boxes, [rng.random(len(b)).astype(np.float32) for b in boxes]


def samples(found, field='proposals'):
    """The same as mmdet's test loop passes it to metrics."""
    out = []
    for image, boxes, scores in zip(IMAGES, *found):
        sample = DetDataSample(
            metainfo=dict(
                img_id=image['id'],
                img_path='data/' + image['file_name'],
                scale_factor=(np.float64(0.5), np.float32(0.5)),
                ori_shape=(60, 60),
            )
        )
        boxes = torch.tensor(boxes)
        setattr(
            sample,
            field,
            InstanceData(
                bboxes=boxes,
                scores=torch.tensor(scores),
                labels=torch.arange(len(boxes)) % 2,
            ),
        )
        if field == 'proposals':
            sample.pred_instances = InstanceData(
                bboxes=boxes[:1] + 1,
                scores=boxes[:1, 0],
                labels=torch.ones(min(1, len(boxes)), dtype=torch.long),
            )
        out.append(sample)
    return out


def check(rows, found):
    np.testing.assert_array_equal(rows.image_ids, [2**40] * 3 + [7] * 2)
    corners = np.concatenate(found[0]).astype(float)
    np.testing.assert_array_equal(rows.boxes[:, :2], corners[:, :2])
    np.testing.assert_array_equal(
        rows.boxes[:, 2:], corners[:, 2:] - corners[:, :2]
    )
    np.testing.assert_array_equal(rows.scores, np.concatenate(found[1]))


@pytest.mark.parametrize('field', ['proposals', 'pred_instances'])
def test_dump_of_tools_test(found, tmp_path, field):
    """Written by mmdet's own metric, as ``tools/test.py --out`` does."""
    path = str(tmp_path / 'out.pkl')
    dump = DumpDetResults(out_file_path=path)
    dump.process({}, [s.to_dict() for s in samples(found, field)])
    dump.evaluate(3)
    for trust in (False, True):
        rows = read_proposals(path, IMAGES, trust=trust)
        check(rows, found)
        assert rows.label_is_position
        np.testing.assert_array_equal(rows.labels, [0, 1, 0, 0, 1])
    detections = read_proposals(path, IMAGES, detections=True)
    assert len(detections.scores) == (2 if field == 'proposals' else 5)


def test_dump_of_proposals(found, tmp_path):
    """mmdet 3's DumpProposals identifies images by folder and file."""
    dump = DumpProposals(
        output_dir=str(tmp_path), proposals_file='out.pkl', num_max_proposals=9
    )
    some = samples([c[:2] for c in found], 'pred_instances')
    dump.process({}, [s.to_dict() for s in some])
    dump.evaluate(2)
    rows = read_proposals(str(tmp_path / 'out.pkl'), IMAGES)
    # It sorts by score.
    np.testing.assert_array_equal(rows.image_ids, [2**40] * 3 + [7] * 2)
    order = [np.argsort(-s) for s in found[1]]
    corners = np.concatenate([b[o] for b, o in zip(found[0], order)])
    np.testing.assert_array_equal(rows.boxes[:, :2], corners[:, :2])
    given = np.concatenate([s[o] for s, o in zip(found[1], order)])
    np.testing.assert_array_equal(rows.scores, given)
    # LVIS has a URL instead.
    urls = [
        dict(id=i['id'], coco_url=f'http://x.org/{i["file_name"]}')
        for i in IMAGES
    ]
    again = read_proposals(str(tmp_path / 'out.pkl'), urls)
    np.testing.assert_array_equal(again.image_ids, rows.image_ids)
    with pytest.raises(UserError, match='b.jpg is not an image of the'):
        read_proposals(str(tmp_path / 'out.pkl'), IMAGES[1:])


def test_oln_and_mmdet_2(found, tmp_path):
    """Arrays in the order of the file: of an RPN, or one per class."""
    arrays = [np.column_stack([b, s]) for b, s in zip(*found)]
    for name, content in (
        ('rpn', arrays),
        ('classes', [[a[::2], a[1::2]] for a in arrays]),
        ('masks', [([a], [[]]) for a in arrays]),
    ):
        path = tmp_path / f'{name}.pkl'
        path.write_bytes(pickle.dumps(content))
        rows = read_proposals(str(path), IMAGES)
        if name == 'classes':
            np.testing.assert_array_equal(rows.labels, [0, 0, 1, 0, 1])
            assert set(rows.scores) == set(np.concatenate(found[1]))
        else:
            check(rows, found)
    with pytest.raises(UserError, match='of 3 images .* has 2 images'):
        read_proposals(str(path), IMAGES[:2])


def test_json_and_npz(found, tmp_path):
    corners = np.concatenate(found[0]).astype(float)
    boxes = np.column_stack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
    scores = np.concatenate(found[1]).astype(float)
    image_ids = np.array([2**40] * 3 + [7] * 2)
    rows = [
        dict(
            image_id=int(i),
            category_id=3,
            bbox=b.tolist(),
            score=float(s),
            segmentation=dict(size=[9, 9], counts='0'),
        )
        for i, b, s in zip(image_ids, boxes, scores)
    ]
    path = tmp_path / 'coco.json'
    path.write_text(json.dumps(rows))
    from_json = read_proposals(str(path), IMAGES)
    check(from_json, found)
    assert set(from_json.labels) == {3} and not from_json.label_is_position
    path = tmp_path / 'rows.npz'
    np.savez(path, image_id=image_ids, bbox=boxes, score=scores)
    check(read_proposals(str(path), IMAGES), found)
    (tmp_path / 'none.json').write_text('[]')
    assert read_proposals(str(tmp_path / 'none.json'), IMAGES).boxes.shape == (
        0,
        4,
    )


class Bad:
    """Runs a command when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def storage_of(content):
    """A pickle that loads a tensor storage of this content."""

    class Storage:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (content,)

    return pickle.dumps([Storage()])


def saved(content):
    """The bytes of ``torch.save`` in the format of tensor storages."""
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


@pytest.mark.parametrize('inside', ['pickle', 'storage', 'saved storage'])
def test_pickles_do_not_execute(found, tmp_path, inside):
    """Neither the functions of a pickle nor those of a tensor's pickle."""
    made, path = tmp_path / 'made', tmp_path / 'bad.pkl'
    sample = dict(samples(found)[0].to_dict(), x=Bad(made))
    path.write_bytes(
        {
            'pickle': pickle.dumps([sample]),
            'storage': storage_of(pickle.dumps(Bad(made))),
            'saved storage': storage_of(saved(Bad(made))),
        }[inside]
    )
    with pytest.raises(UserError, match='bad.pkl: ') as error:
        read_proposals(str(path), IMAGES)
    assert '\n' not in str(error.value)
    assert not made.exists()
    if inside == 'pickle':
        assert 'posix.mkdir' in str(error.value)
        assert '--trust' in str(error.value)
        read_proposals(str(path), IMAGES, trust=True)
        assert made.exists()


@pytest.mark.parametrize(
    'function, args',
    [
        (os.system, ('true',)),
        (eval, ('1',)),
        (exec, ('',)),
        (functools.partial, (print,)),
        (__import__, ('os',)),
        (getattr, (np.ndarray, 'tofile')),
        (open, ('x',)),
        (np.load, ('x.npy',)),
        (torch.load, ('x.pth',)),
    ],
    ids=lambda value: getattr(value, '__name__', ''),
)
def test_attacks_are_refused(tmp_path, function, args):
    path = tmp_path / 'bad.pkl'
    path.write_bytes(pickle.dumps([dict(img_id=1, x=Call(function, *args))]))
    with pytest.raises(UserError, match='bad.pkl: refused'):
        read_proposals(str(path), IMAGES)


@pytest.mark.parametrize(
    'start', [b'PK\x03\x04', b'\x80\x02cnumpy\nndarray\n}b']
)
def test_zip_and_state_of_a_class_are_refused(tmp_path, start):
    """As TorchScript begins, and BUILD on a class that is allowed."""
    path = tmp_path / 'bad.pkl'
    path.write_bytes(start + b'.')
    with pytest.raises(UserError, match='bad.pkl: (not a pickle|refused)'):
        read_proposals(str(path), IMAGES)


def test_tensors_without_pytorch_are_not_called_damaged(
    found, tmp_path, monkeypatch
):
    path = tmp_path / 'good.pkl'
    path.write_bytes(pickle.dumps([samples(found)[0].to_dict()]))
    monkeypatch.setitem(sys.modules, 'torch', None)
    with pytest.raises(UserError, match='holds tensors, which take PyTorch'):
        read_proposals(str(path), IMAGES)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


RESULT = '{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1}'


@pytest.mark.parametrize('name, content, message', [
    ('gone.json', None, 'gone.json: no such proposal file'),
    ('x.txt', '1', "x.txt: proposals are .json .* not '.txt'"),
    ('x.json', RESULT[:30], 'x.json: not JSON, or truncated'),
    ('x.json', '{"images": []}', 'x.json: not a list of COCO results'),
    ('x.json', '[3]', 'x.json: not a list of COCO results'),
    ('x.json', f'[{RESULT}, {RESULT.replace("3, ", "")}]',
     'row 1 is not a COCO'),
    ('x.json', f'[{RESULT.replace("score", "x")}]', 'row 0 is not a COCO'),
    ('x.json', f'[{RESULT.replace("1", "null", 1)}]',
     'row 0: image_id is null; ids are integers'),
    ('x.json', '[{"image_id": "a", "bbox": [1, 2, 3, 4], "score": 1}]',
     'row 0: image_id is "a"; ids are integers'),
    ('x.json', f'[{RESULT.replace("1", "1.5", 1)}]', 'row 0: image_id is 1.5'),
    ('x.pkl', 'hello', 'x.pkl: not a pickle, or truncated'),
    ('x.pkl', pickle.dumps(IMAGES)[:-9], 'x.pkl: not a pickle, or truncated'),
    ('x.pkl', pickle.dumps(3), 'x.pkl: not written by tools/test.py --out'),
    ('x.pkl', pickle.dumps([dict(img_id=3)]), 'x.pkl: not written by tools'),
    ('x.pkl', pickle.dumps(list('abc')), 'x.pkl: not written by tools/test'),
    ('x.npz', 'hello', 'x.npz: needs the arrays image_id, bbox and score'),
])  # fmt: skip
def test_bad_files_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
    with pytest.raises(UserError, match=message) as error:
        read_proposals(str(path), IMAGES)
    assert '\n' not in str(error.value)


def test_arrays_that_do_not_match(tmp_path):
    path = tmp_path / 'x.npz'
    np.savez(path, image_id=[1, 2], bbox=np.ones((2, 4)), score=[1])
    with pytest.raises(UserError, match='x.npz: .* do not match'):
        read_proposals(str(path), IMAGES)
