"""Reading COCO annotation files, without mmdet."""
from __future__ import annotations

import json
import os.path as osp


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
