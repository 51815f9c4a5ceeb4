"""Reading COCO annotation files, without mmdet."""

from __future__ import annotations

import json
import os.path as osp
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


def read_coco(path: str) -> dict:
    """Read a COCO annotation file.

    Args:
        path (str): a JSON file.

    Returns:
        dict: with ``images``, ``annotations`` and ``categories``.

    Raises:
        FileNotFoundError: in one line, if there is no such file.
        ValueError: likewise, if it isn't of that format.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'no annotation file {path}: put the data there, or set data_root '
            'and ann_file in the config or by --cfg-options'
        )
    with open(path, encoding='utf-8') as file:
        try:
            content = json.load(file)
            content['images'], content['annotations'], content['categories']
        except (ValueError, KeyError, TypeError) as error:
            # A download that was cut is no JSON, and says where it ends.
            why = f' ({error})' if isinstance(error, ValueError) else ''
            raise ValueError(
                f'{path} is not a COCO annotation file{why}: it needs '
                '"images", "annotations" and "categories", and to be whole'
            ) from error
    return content


def check_categories(categories: Sequence[Mapping], path: str) -> None:
    """Check that labels can be numbered by the order of the categories.

    Args:
        categories (list[dict]): of a COCO annotation file.
        path (str): of that file, for the message.

    Raises:
        ValueError: in one line, if they are not in ascending id, have the
            same name, or ids that are no whole numbers.
    """
    ids = [c.get('id') for c in categories]
    names = [c.get('name') for c in categories]
    if not all(isinstance(i, int) for i in ids):
        raise ValueError(
            f'{path}: category ids must be whole numbers, not '
            f'{next(i for i in ids if not isinstance(i, int))!r}'
        )
    if ids != sorted(set(ids)) or len(set(names)) < len(names):
        raise ValueError(
            f'{path}: categories must be in ascending id and have different '
            'names, because mmdet numbers labels by their order in the file'
        )


class SideBoxes(NamedTuple):
    """Boxes (x1, y1, x2, y2) in pixels, (n, 4), by image id.

    Attributes:
        novel (dict[int, ndarray]): of the novel objects, without crowds.
        base (dict[int, ndarray]): of the base objects, likewise.
        base_crowd (dict[int, ndarray]): of the crowds of base objects.
    """

    novel: dict[int, np.ndarray]
    base: dict[int, np.ndarray]
    base_crowd: dict[int, np.ndarray]


def read_boxes(dataset: Any) -> SideBoxes:
    """Read the objects of both sides, whichever a data set shows.

    Args:
        dataset (CocoSplitDataset): or another that knows its
            ``partition_classes`` and ``ann_file``.

    Raises:
        ValueError: in one line, if it doesn't.
    """
    partition = getattr(dataset, 'partition_classes', None)
    if partition is None:
        raise ValueError(
            f'{type(dataset).__name__} does not tell base and novel objects '
            'apart: use CocoSplitDataset or LVISSplitDataset'
        )
    base = partition.categories('base')
    found = SideBoxes(*(defaultdict(list) for _ in range(3)))
    for a in read_coco(dataset.ann_file)['annotations']:
        crowd, is_base = a.get('iscrowd'), a['category_id'] in base
        if is_base:
            boxes = found.base_crowd if crowd else found.base
        elif crowd or a['category_id'] not in partition.novel:
            continue
        else:
            boxes = found.novel
        x, y, width, height = a['bbox']
        boxes[a['image_id']].append((x, y, x + width, y + height))
    return SideBoxes(
        *(
            defaultdict(
                lambda: np.empty((0, 4)),
                {
                    image_id: np.array(rows, float)
                    for image_id, rows in boxes.items()
                },
            )
            for boxes in found
        )
    )
