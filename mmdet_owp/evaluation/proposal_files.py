"""Read the proposal files that detectors write, without mmdet."""

from __future__ import annotations

import codecs
import io
import json
import os.path as osp
import pickle
import zipfile
from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmdet_owp.datasets.image_names import match_names
from mmdet_owp.errors import UserError
from mmdet_owp.evaluation.sample_proposals import proposals_of
from mmdet_owp.recall import as_id, corners_to_xywh, id_array
from mmdet_owp.restricted_pickle import (
    RefusedCallError,
    RestrictedUnpickler,
    numpy_globals,
)

# The first bytes of the format in which tensors pickle their storage.
_STORAGE_START = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


class ProposalRows(NamedTuple):
    """Proposals or detections of many images, one per row.

    Attributes:
        image_ids (np.ndarray): (n,).
        boxes (np.ndarray): (n, 4) x, y, width, height in pixels of the image
            file.
        scores (np.ndarray): (n,).
        labels (np.ndarray): (n,) category ids or, with ``label_is_position``,
            positions in the detector's classes; 0 if the file has no labels.
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
    """Read a proposal file.

    - ``.json``: COCO results of any detector, OLN's ``--format-only``
      included: ``image_id``, ``bbox``, ``score`` and, optionally,
      ``category_id``.
    - ``.pkl``: the output of ``tools/test.py --out`` of this package and
      mmdet 3 (samples with ``proposals`` or ``pred_instances``) or of mmdet 2
      and OLN (arrays x1, y1, x2, y2, score, one per image or per image and
      class, in the order of the annotation file); mmdet 3's
      ``DumpProposals``.
    - ``.npz``: arrays ``image_id`` (n,), ``bbox`` (n, 4) as x, y, width,
      height, ``score`` (n,) and, optionally, ``category_id``.

    Args:
        path (str): the file.
        images (Sequence[dict]): ``images`` of the annotation file.
        detections (bool): prefer the class detections of a sample to its
            proposals. Defaults to False.
        trust (bool): let a pickle call any function. Defaults to False.

    Raises:
        UserError: if there is no such file, it has none of these formats, or
            its pickle calls functions that arrays do not need.
    """
    if not osp.isfile(path):
        raise UserError(f'{path}: no such proposal file')
    suffix = osp.splitext(path)[1].lower()
    if suffix == '.json':
        return _read_json(path, images)
    if suffix == '.npz':
        return _read_npz(path)
    if suffix not in ('.pkl', '.pickle'):
        raise UserError(
            f'{path}: proposals are .json (COCO results), .pkl (mmdet) or '
            f'.npz, not {suffix!r}'
        )
    content = _unpickle(path, trust)
    try:
        return _from_pickle(path, content, images, detections)
    except (LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f'{path}: not written by tools/test.py --out of mmdet 2 or 3: '
            'it must be a list of samples, or of arrays x1, y1, x2, y2, score'
        ) from error


def _read_json(path: str, images: Sequence[Mapping]) -> ProposalRows:
    """Read COCO results into arrays while the file is parsed."""
    # Rows share the integers of their ids, of any size.
    known = {i['id']: i['id'] for i in images}
    image_ids, labels = [], array('q')
    boxes, scores = array('d'), array('d')

    def take(row: dict) -> dict | None:
        if 'bbox' not in row and 'image_id' not in row:
            return row  # part of a row, such as a mask
        number = len(image_ids)
        image_id = _id(row, 'image_id', path, number)
        image_ids.append(known.setdefault(image_id, image_id))
        # Class-agnostic results may have no category, or null.
        if row.get('category_id') is None:
            labels.append(0)
        else:
            labels.append(_id(row, 'category_id', path, number))
        try:
            x, y, width, height = row['bbox']
            boxes.extend((x, y, width, height))
            scores.append(row['score'])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f'{path}: row {number} is not a COCO result, which has '
                'image_id, bbox (x, y, width, height) and score'
            ) from error
        return None

    with open(path, encoding='utf-8') as file:
        try:
            content = json.load(file, object_hook=take)
        except (
            json.JSONDecodeError,
            UnicodeDecodeError,
            RecursionError,
        ) as error:
            raise UserError(
                f'{path}: not JSON, or truncated: {error}'
            ) from error
    if not isinstance(content, list) or len(content) != len(scores):
        raise UserError(f'{path}: not a list of COCO results')
    return ProposalRows(
        id_array(image_ids),
        np.array(boxes).reshape(-1, 4),
        np.array(scores),
        np.array(labels),
        False,
    )


def _id(row: Mapping, key: str, path: str, number: int) -> int:
    """Return an id of a row."""
    if key not in row:
        raise UserError(f'{path}: row {number} has no {key}')
    try:
        value = as_id(row[key])
        if key == 'category_id':
            array('q', [value])
    except (UserError, OverflowError) as error:
        raise UserError(
            f'{path}: row {number}: {key} is {json.dumps(row[key])}; ids are '
            'integers, those of the annotation file'
        ) from error
    return value


def _read_npz(path: str) -> ProposalRows:
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = dict(content)
        image_ids, boxes, scores = (
            arrays[key] for key in ('image_id', 'bbox', 'score')
        )
        labels = arrays.get('category_id', np.zeros(len(scores), int))
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise UserError(
            f'{path}: needs the arrays image_id, bbox and score ({error})'
        ) from error
    shapes = [a.shape for a in (image_ids, boxes, scores, labels)]
    num = (len(scores),)
    if shapes != [num, (*num, 4), num, num]:
        raise UserError(
            f'{path}: image_id, bbox, score and category_id have shapes '
            f'{shapes}, which do not match'
        )
    try:
        image_ids, labels = id_array(image_ids), id_array(labels)
        boxes, scores = boxes.astype(float), scores.astype(float)
    except (ValueError, TypeError) as error:
        raise UserError(
            f'{path}: image_id and category_id must be integers, bbox and '
            f'score numbers ({error})'
        ) from error
    return ProposalRows(image_ids, boxes, scores, labels, False)


class _Instances:
    """Stand-in for ``InstanceData``: its attributes, nothing else."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


def _load_storage(content: bytes) -> Any:
    """Stand in for ``_load_from_bytes``, which would call any function."""
    import torch

    # Before 2.6, torch.load also unpacks tar files and runs TorchScript.
    if not content.startswith(_STORAGE_START):
        raise RefusedCallError('torch.storage._load_from_bytes')
    return torch.load(io.BytesIO(content), 'cpu', weights_only=True)


def _rebuild_tensor(*args: Any) -> Any:
    import torch

    return torch._utils._rebuild_tensor_v2(*args)


class _ProposalUnpickler(RestrictedUnpickler):
    """Unpickler of arrays, tensors and samples of mmdet."""

    allowed = {
        **numpy_globals(),
        ('_codecs', 'encode'): codecs.encode,
        ('builtins', 'set'): set,
        ('collections', 'OrderedDict'): OrderedDict,
        ('mmengine.structures.instance_data', 'InstanceData'): _Instances,
        ('torch._utils', '_rebuild_tensor_v2'): _rebuild_tensor,
        ('torch.storage', '_load_from_bytes'): _load_storage,
    }


def _unpickle(path: str, trust: bool) -> Any:
    with open(path, 'rb') as file:
        try:
            unpickler = pickle.Unpickler if trust else _ProposalUnpickler
            return unpickler(file).load()
        except RefusedCallError as error:
            raise UserError(
                f'{path}: refused, because loading it would call {error}, '
                'which proposals do not need; if you know and trust its '
                'author, --trust loads it'
            ) from error
        except ImportError as error:  # a good file, not a damaged one
            raise UserError(
                f'{path}: holds tensors, which take PyTorch to read ({error})'
            ) from error
        except Exception as error:  # damaged pickles raise any type
            raise UserError(f'{path}: not a pickle, or truncated') from error


def _from_pickle(
    path: str, content: Any, images: Sequence[Mapping], detections: bool
) -> ProposalRows:
    """Make rows of the results that mmdet 2 or 3 pickles."""
    if isinstance(content, dict):  # DumpProposals: by name of the image file
        ids = match_names(content, images, path)
        unknown = [name for name in content if name not in ids]
        if unknown:
            raise UserError(
                f'{path}: {unknown[0]} is not an image of the annotation file'
            )
        image_ids = [ids[name] for name in content]
        found = [_from_instances(i) for i in content.values()]
    elif content and isinstance(content[0], dict):
        image_ids = [sample['img_id'] for sample in content]
        found = [
            _from_instances(
                sample['pred_instances']
                if detections and 'pred_instances' in sample
                else proposals_of(sample)
            )
            for sample in content
        ]
    else:
        if len(content) != len(images):
            raise UserError(
                f'{path}: results of {len(content)} images in the order of '
                f'the annotation file, but that has {len(images)} images'
            )
        image_ids = [i['id'] for i in images]
        found = [_from_arrays(result) for result in content]
    empty = np.empty((0, 4)), np.empty(0), np.empty(0, int)
    corners, scores, labels = map(np.concatenate, zip(*(found or [empty])))
    return ProposalRows(
        id_array(image_ids).repeat([len(scores) for _, scores, _ in found]),
        corners_to_xywh(corners),
        scores.astype(float),
        labels,
        True,
    )


def _from_instances(instances: Mapping) -> tuple[np.ndarray, ...]:
    """Return boxes (x1, y1, x2, y2), scores and labels of a sample."""
    scores = np.asarray(instances['scores'])
    try:
        labels = np.asarray(instances['labels'])
    except (KeyError, AttributeError):
        labels = np.zeros(len(scores), int)
    return np.asarray(instances['bboxes']).reshape(-1, 4), scores, labels


def _from_arrays(result: Any) -> tuple[np.ndarray, ...]:
    """Return the same of an array, or of one array per class, of mmdet 2."""
    if isinstance(result, tuple):  # with masks
        result = result[0]
    by_class = result if isinstance(result, list) else [result]
    if not all(np.ndim(a) == 2 and np.shape(a)[1] == 5 for a in by_class):
        raise TypeError
    rows = np.concatenate(by_class)
    labels = np.arange(len(by_class)).repeat([len(a) for a in by_class])
    return rows[:, :4], rows[:, 4], labels
