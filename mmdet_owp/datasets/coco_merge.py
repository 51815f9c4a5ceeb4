"""Merge COCO-format sets for training."""

from __future__ import annotations

import json
import os
import os.path as osp
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mmdet_owp.datasets.coco_records import image_name
from mmdet_owp.errors import UserError

# What training needs of an object, besides its ids.
_KEPT = ('bbox', 'area', 'iscrowd', 'ignore')


class Source(NamedTuple):
    """A set to merge.

    Attributes:
        name (str): folder of its images in the merged set.
        images (str): folder that its ``file_name`` is relative to.
        read (Callable): returns its content, in COCO format.
    """

    name: str
    images: str
    read: Callable[[], dict]


def merge(sources: Sequence[Source]) -> dict:
    """Merge the content of several sets.

    Classes of the same name are one class. It has the id of the first set
    that has it, unless another class has that id already; then it gets a new
    one. Images and objects are numbered from 1.

    Args:
        sources (Sequence[Source]): names of images become
            ``SOURCE/file_name``.

    Returns:
        dict: in COCO format, categories in ascending id.

    Raises:
        UserError: as the functions that read the sets.
    """
    categories: dict[str, dict] = {}
    images: list[dict] = []
    annotations: list[dict] = []
    for source in sources:
        content = source.read()
        class_ids, image_ids = {}, {}
        for category in content['categories']:
            known = categories.get(category['name'])
            if known is None:
                known = dict(category, id=_free_id(category['id'], categories))
                categories[category['name']] = known
            class_ids[category['id']] = known['id']
        for image in content['images']:
            image_ids[image['id']] = len(images) + 1
            images.append(
                dict(
                    id=len(images) + 1,
                    file_name=f'{source.name}/{image_name(image)}',
                    width=image['width'],
                    height=image['height'],
                )
            )
        for a in content['annotations']:
            image, category = a['image_id'], a['category_id']
            if image not in image_ids or category not in class_ids:
                continue  # read_coco() warned of it
            annotations.append(
                dict(
                    {key: a[key] for key in _KEPT if key in a},
                    id=len(annotations) + 1,
                    image_id=image_ids[image],
                    category_id=class_ids[category],
                )
            )
    return dict(
        images=images,
        annotations=annotations,
        categories=sorted(categories.values(), key=lambda c: c['id']),
    )


def _free_id(wanted: int, categories: dict[str, dict]) -> int:
    taken = {c['id'] for c in categories.values()}
    return max(taken) + 1 if wanted in taken else wanted


def write_merged(
    sources: Sequence[Source], out: Path, part: str
) -> tuple[Path, dict]:
    """Write ``annotations/instances_PART.json`` and link to the images.

    Args:
        sources (Sequence[Source]): their folders of images become links
            ``PART/SOURCE``.
        out (Path): folder to write to.
        part (str): name of the part, such as ``'train'``.

    Returns:
        tuple[Path, dict]: the annotation file written, and its content.

    Raises:
        UserError: if files are missing or wrong, two sources have one name,
            or something else lies where a link belongs.
    """
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise UserError(f'two sets have the same name: {", ".join(names)}')
    content = merge(sources)
    (out / part).mkdir(parents=True, exist_ok=True)
    for source in sources:
        _link(out / part / source.name, source.images)
    # Written last, so that it marks a complete part.
    path = out / 'annotations' / f'instances_{part}.json'
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding='utf-8')
    return path, content


def _link(link: Path, folder: str) -> None:
    """Let ``link`` point to a folder."""
    if not osp.isdir(folder):
        raise UserError(f'no folder of images {folder}')
    if link.is_symlink():
        link.unlink()
    elif link.exists():
        raise UserError(f'{link} exists and is no link: remove it')
    os.symlink(osp.abspath(folder), link, target_is_directory=True)
