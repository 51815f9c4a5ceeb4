"""Reading COCO annotation files, without mmdet."""
from __future__ import annotations

import json
import os.path as osp
from collections.abc import Mapping, Sequence


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
            'and ann_file in the config or by --cfg-options')
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
        raise ValueError(f'{path}: category ids must be whole numbers, not '
                         f'{next(i for i in ids if not isinstance(i, int))!r}')
    if ids != sorted(set(ids)) or len(set(names)) < len(names):
        raise ValueError(
            f'{path}: categories must be in ascending id and have different '
            'names, because mmdet numbers labels by their order in the file')
