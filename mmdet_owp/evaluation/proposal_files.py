"""Reads the proposals that detectors write, without mmdet."""

from __future__ import annotations

import io
import json
import os.path as osp
import pickle
import zipfile
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

# What arrays and samples of mmdet are made of, by module and name.
_HARMLESS = {
    ('__builtin__', 'set'),
    ('_codecs', 'encode'),
    ('builtins', 'set'),
    ('collections', 'OrderedDict'),
    ('numpy', 'dtype'),
    ('numpy', 'ndarray'),
    *(
        (f'numpy.{core}.multiarray', name)
        for core in ('core', '_core')
        for name in ('_reconstruct', 'scalar')
    ),
    ('torch._utils', '_rebuild_tensor_v2'),
}


class ProposalRows(NamedTuple):
    """Proposals or detections of many images, one a row.

    Attributes:
        image_ids (np.ndarray): (n, ).
        boxes (np.ndarray): (n, 4) x, y, width, height in pixels of the image
            file.
        scores (np.ndarray): (n, ).
        labels (np.ndarray): (n, ) category ids, or with ``label_is_position``
            positions in the detector's classes; all 0 where the file tells
            none.
        label_is_position (bool): what ``labels`` are.
    """

    image_ids: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    label_is_position: bool


def read_proposals(
    path: str,
    images: Sequence[Mapping],
    *,
    detections: bool = False,
    trust: bool = False,
) -> ProposalRows:
    """Read a file of proposals.

    - ``.json``: COCO results, ``image_id``, ``bbox``, ``score`` and, if there
      is one, ``category_id``, of any detector; OLN's ``--format-only``.
    - ``.pkl``: what ``tools/test.py --out`` writes, of this package and mmdet
      3 (samples with ``proposals`` or ``pred_instances``), of mmdet 2 and OLN
      (arrays x1, y1, x2, y2, score, one an image or an image and class, in
      the order of the annotation file); mmdet 3's ``DumpProposals``.
    - ``.npz``: arrays ``image_id`` (n, ), ``bbox`` (n, 4) as x, y, width,
      height, ``score`` (n, ) and, optionally, ``category_id``.

    Args:
        path (str): the file.
        images (Sequence[dict]): ``images`` of the annotation file.
        detections (bool): take class detections where a sample also has
            proposals.
        trust (bool): let a pickle call what it likes.

    Raises:
        FileNotFoundError: in one line, if there is no such file.
        ValueError: likewise, if it is of no such format or its pickle calls
            what arrays don't need.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path}: no such file of proposals')
    suffix = osp.splitext(path)[1].lower()
    if suffix == '.json':
        return _read_json(path)
    if suffix == '.npz':
        return _read_npz(path)
    if suffix in ('.pkl', '.pickle'):
        content = _unpickle(path, trust)
        try:
            return _from_pickle(path, content, images, detections)
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(
                f'{path}: not as tools/test.py --out of mmdet 2 or 3 writes '
                'it: a list of samples, or of arrays x1, y1, x2, y2, score'
            ) from error
    raise ValueError(
        f'{path}: proposals are .json (COCO results), .pkl '
        f'(mmdet) or .npz, not {suffix!r}'
    )


def _read_json(path: str) -> ProposalRows:
    """Read COCO results; rows become numbers while the file is parsed."""
    image_ids, labels = array('q'), array('q')
    boxes, scores = array('d'), array('d')

    def take(row: dict) -> dict | None:
        if 'bbox' not in row and 'image_id' not in row:
            return row  # a part of a row, such as a mask
        try:
            x, y, width, height = row['bbox']
            boxes.extend((x, y, width, height))
            image_ids.append(row['image_id'])
            scores.append(row['score'])
            labels.append(row.get('category_id', 0))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f'{path}: row {len(scores)} is no COCO result, which has '
                'image_id, bbox (x, y, width, height) and score'
            ) from error
        return None

    with open(path, encoding='utf-8') as file:
        try:
            content = json.load(file, object_hook=take)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(
                f'{path}: not JSON, or cut off: {error}'
            ) from error
    if not isinstance(content, list) or len(content) != len(scores):
        raise ValueError(f'{path}: not a list of COCO results')
    return ProposalRows(
        np.array(image_ids),
        np.array(boxes).reshape(-1, 4),
        np.array(scores),
        np.array(labels),
        False,
    )


def _read_npz(path: str) -> ProposalRows:
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = dict(content)
        image_ids, boxes, scores = (
            arrays[key] for key in ('image_id', 'bbox', 'score')
        )
        labels = arrays.get('category_id', np.zeros(len(scores), int))
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f'{path}: needs the arrays image_id, bbox and score ({error})'
        ) from error
    shapes = [a.shape for a in (image_ids, boxes, scores, labels)]
    num = (len(scores),)
    if shapes != [num, (*num, 4), num, num]:
        raise ValueError(
            f'{path}: image_id, bbox, score and category_id of '
            f'shapes {shapes} do not match'
        )
    return ProposalRows(
        image_ids, boxes.astype(float), scores.astype(float), labels, False
    )


class _Instances:
    """Stands in for ``InstanceData``: its attributes, nothing else."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


def _load_storage(content: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(content), weights_only=True)


class _RestrictedUnpickler(pickle.Unpickler):
    """Calls only what arrays and tensors need."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _HARMLESS:
            return super().find_class(module, name)
        if (module, name) == ('torch.storage', '_load_from_bytes'):
            return _load_storage  # the original would call anything
        if (module, name) == (
            'mmengine.structures.instance_data',
            'InstanceData',
        ):
            return _Instances
        raise pickle.UnpicklingError(f'{module}.{name}')


def _unpickle(path: str, trust: bool) -> Any:
    with open(path, 'rb') as file:
        try:
            return (
                pickle.load(file)
                if trust
                else _RestrictedUnpickler(file).load()
            )
        except pickle.UnpicklingError as error:
            if '.' in str(error) and ' ' not in str(error):
                raise ValueError(
                    f'{path}: refused, because loading it would call {error}, '
                    'which proposals do not need; if you know and trust its '
                    'author, --trust loads it'
                ) from error
            raise ValueError(f'{path}: not a pickle, or cut off') from error
        except (EOFError, ValueError, IndexError, KeyError) as error:
            raise ValueError(f'{path}: not a pickle, or cut off') from error


def _from_pickle(
    path: str, content: Any, images: Sequence[Mapping], detections: bool
) -> ProposalRows:
    """Make rows of what mmdet 2 or 3 pickles."""
    if isinstance(content, dict):  # DumpProposals: by name of the image file
        ids = {  # LVIS has a URL only
            osp.basename(i.get('file_name') or i['coco_url']): i['id']
            for i in images
        }
        unknown = [n for n in content if osp.basename(n) not in ids]
        if unknown:
            raise ValueError(
                f'{path}: {unknown[0]} is not an image of the annotation file'
            )
        image_ids = [ids[osp.basename(name)] for name in content]
        found = [_instances(i) for i in content.values()]
    elif content and isinstance(content[0], dict):
        image_ids = [sample['img_id'] for sample in content]
        order = ('pred_instances', 'proposals')
        if not detections:
            order = order[::-1]
        found = [
            _instances(s[order[0]] if order[0] in s else s[order[1]])
            for s in content
        ]
    else:
        if len(content) != len(images):
            raise ValueError(
                f'{path}: results of {len(content)} images, which only their '
                f'order tells, but the annotation file has {len(images)}'
            )
        image_ids = [i['id'] for i in images]
        found = [_arrays(one) for one in content]
    boxes, scores, labels = (
        (np.concatenate(column) for column in zip(*found))
        if found
        else (np.empty((0, 4)), np.empty(0), np.empty(0, int))
    )
    # In double precision before the difference, as in the metric.
    boxes = boxes.astype(float)
    boxes[:, 2:] -= boxes[:, :2]
    return ProposalRows(
        np.repeat(np.array(image_ids), [len(f[1]) for f in found]),
        boxes,
        scores.astype(float),
        labels,
        True,
    )


def _instances(found: Mapping) -> tuple[np.ndarray, ...]:
    """Boxes (x1, y1, x2, y2), scores and labels of a sample."""
    boxes, scores = np.asarray(found['bboxes']), np.asarray(found['scores'])
    try:
        labels = np.asarray(found['labels'])
    except (KeyError, AttributeError):
        labels = np.zeros(len(scores), int)
    return boxes.reshape(-1, 4), scores, labels


def _arrays(one: Any) -> tuple[np.ndarray, ...]:
    """Likewise of an array, or of a list of one a class, of mmdet 2."""
    if isinstance(one, tuple):  # with masks
        one = one[0]
    by_class = one if isinstance(one, list) else [one]
    if not all(np.ndim(a) == 2 and np.shape(a)[1] == 5 for a in by_class):
        raise TypeError
    rows = np.concatenate(by_class)
    labels = np.arange(len(by_class)).repeat([len(a) for a in by_class])
    return rows[:, :4], rows[:, 4], labels
