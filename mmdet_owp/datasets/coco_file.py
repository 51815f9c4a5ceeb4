"""Reading COCO annotation files, without mmdet."""

from __future__ import annotations

import json
import logging
import os
import os.path as osp
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmdet_owp.datasets.coco_records import normalize, oddities
from mmdet_owp.errors import UserError
from mmdet_owp.recall import GroundTruth

_logger = logging.getLogger('mmdet_owp')

# Ids of the categories that LVIS verified as absent from an image, and of
# those that it did not annotate exhaustively.
LVIS_IMAGE_KEYS = ('neg_category_ids', 'not_exhaustive_category_ids')


def parse_coco(path: str) -> dict:
    """Parse a COCO annotation file without checking its records.

    Args:
        path (str): a JSON file.

    Returns:
        dict: with ``images``, ``annotations`` and ``categories``.

    Raises:
        UserError: if there is no such file or it is not in COCO format.
    """
    if not osp.isfile(path):
        raise UserError(
            f'no annotation file {path}: put the data there, or set data_root '
            'and ann_file in the config or by --cfg-options'
        )
    with open(path, encoding='utf-8') as file:
        try:
            content = json.load(file)
            content['images'], content['annotations'], content['categories']
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            # The message of the JSON parser tells where a file is truncated.
            why = f' ({error})' if isinstance(error, ValueError) else ''
            if isinstance(error, TypeError):
                why = ' (no JSON object; a list may be a file of results)'
            raise UserError(
                f'{path} is not a COCO annotation file{why}: it needs '
                '"images", "annotations" and "categories"; if it was '
                'downloaded, download it again'
            ) from error
    return content


def read_coco(path: str, with_files: bool = True) -> dict:
    """Read a COCO annotation file, the same for every tool.

    Records are checked and brought into their usual types; see
    :func:`mmdet_owp.datasets.coco_records.normalize`. What is legal but not
    intended, such as objects of unknown images, is logged.

    Args:
        path (str): a JSON file.
        with_files (bool): whether images need names and sizes. Evaluation
            does not.

    Returns:
        dict: with ``images``, ``annotations`` and ``categories``.

    Raises:
        UserError: if there is no such file, it is not in COCO format, or a
            record lacks a value or has a wrong one.
    """
    content = parse_coco(path)
    faults = normalize(content, path, with_files)
    if faults:
        more = (
            f'; and {len(faults) - 1} more, which '
            'tools/dataset_tools/check_dataset.py lists'
        )
        raise UserError(faults[0] + more * (len(faults) > 1))
    for text in oddities(content):
        _logger.warning('%s: %s', path, text)
    return content


def check_categories(categories: Sequence[Mapping], path: str) -> None:
    """Check that labels can be numbered by the order of the categories.

    Args:
        categories (list[dict]): of a COCO annotation file.
        path (str): of that file, for the message.

    Raises:
        UserError: if ids are not in ascending order.
    """
    ids = [c['id'] for c in categories]
    if ids != sorted(ids):
        raise UserError(
            f'{path}: categories must be in ascending id, because mmdet '
            'numbers labels by their order in the file'
        )


class CocoObjects(NamedTuple):
    """What metrics need of an annotation file: arrays, no polygons.

    Attributes:
        categories (list[dict]): as in the file.
        images (list[dict]): ``id`` and, on LVIS, :data:`LVIS_IMAGE_KEYS`.
        ground_truth (GroundTruth): the objects of all categories.
    """

    categories: list[dict]
    images: list[dict]
    ground_truth: GroundTruth

    @classmethod
    def from_coco(cls, content: Mapping, path: str) -> CocoObjects:
        """Take the objects from the content of an annotation file.

        Raises:
            UserError: if an object has no valid box.
        """
        keys = ('id', *LVIS_IMAGE_KEYS)
        images = [{k: i[k] for k in keys if k in i} for i in content['images']]
        try:
            truth = GroundTruth.from_coco(content)
        except UserError as error:
            raise UserError(f'{path}: {error}') from error
        return cls(content['categories'], images, truth)


# The objects of the file that was read last, by its path and version.
_last: dict[tuple, CocoObjects] = {}


def _version(path: str) -> tuple:
    stat = os.stat(path)
    return osp.abspath(path), stat.st_mtime_ns, stat.st_size


def keep_objects(path: str, content: Mapping) -> CocoObjects:
    """Keep the objects of a parsed file for :func:`read_objects`.

    The arrays of one file stay in memory, not its JSON.

    Args:
        path (str): of the file.
        content (dict): of the file.

    Raises:
        UserError: if an object has no valid box.
    """
    _last.clear()
    return _last.setdefault(
        _version(path), CocoObjects.from_coco(content, path)
    )


def read_objects(path: str) -> CocoObjects:
    """Read the objects of an annotation file.

    A file that a test data set has loaded is not parsed again.

    Args:
        path (str): a JSON file.

    Raises:
        UserError: as :func:`read_coco`, or if an object has no valid box.
    """
    if osp.isfile(path) and _version(path) in _last:
        return _last[_version(path)]
    return keep_objects(path, read_coco(path, with_files=False))


class SideBoxes(NamedTuple):
    """Boxes (x1, y1, x2, y2) in pixels, (n, 4), by image id.

    Attributes:
        novel (dict[int, ndarray]): novel objects, without crowd regions.
        base (dict[int, ndarray]): base objects, without crowd regions.
        base_crowd (dict[int, ndarray]): crowd regions of base objects.
    """

    novel: dict[int, np.ndarray]
    base: dict[int, np.ndarray]
    base_crowd: dict[int, np.ndarray]


def read_boxes(dataset: Any) -> SideBoxes:
    """Read the objects of both sides, whichever split a data set shows.

    Args:
        dataset (CocoSplitDataset): has ``partition_classes`` and
            ``ann_file``.

    Returns:
        SideBoxes: with an entry for every image.

    Raises:
        UserError: if the data set has no partition.
    """
    partition = getattr(dataset, 'partition_classes', None)
    if partition is None:
        raise UserError(
            f'{type(dataset).__name__} does not tell base and novel objects '
            'apart: use CocoSplitDataset or LVISSplitDataset'
        )
    truth = read_objects(dataset.ann_file).ground_truth
    corners = truth.boxes.copy()
    corners[:, 2:] += corners[:, :2]
    ends = np.searchsorted(truth.image, np.arange(1, len(truth.image_ids)))
    base = np.isin(truth.category, list(partition.base))
    novel = np.isin(truth.category, list(partition.novel))
    sides = novel & ~truth.crowd, base & ~truth.crowd, base & truth.crowd
    return SideBoxes(
        *(
            {
                image_id: boxes[chosen]
                for image_id, boxes, chosen in zip(
                    truth.image_ids.tolist(),
                    np.split(corners, ends),
                    np.split(side, ends),
                )
            }
            for side in sides
        )
    )
