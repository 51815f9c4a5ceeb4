"""Writing the built-in data in the format of COCO or LVIS v1.

All objects are annotated, base and novel: the data set class hides the novel
ones from training. Needs numpy and OpenCV only, no torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmdet_owp.errors import UserError
from mmdet_owp.partitions import SHAPES_BASE
from mmdet_owp.shapes.lvis import to_lvis
from mmdet_owp.shapes.objects import FAMILIES
from mmdet_owp.shapes.scenes import ShapeObject, draw_image

# Style -> names of an annotation file and of an image folder.
_NAMES = {
    'coco': ('instances_{}.json', '{}'),
    'lvis': ('lvis_v1_{}.json', '{}2017'),
}
STYLES = tuple(_NAMES)
# Increased when pixels change: sets of different versions are not mixed.
VERSION = 2
DESCRIPTION = 'mmdet_owp shapes'
MIN_SIZE = 48  # image side, pixels


def make_shapes(
    out: str | os.PathLike,
    seed: int = 0,
    num_train: int = 3500,
    num_val: int = 300,
    size: int = 128,
    style: str = 'coco',
    overwrite: bool = False,
    progress: Callable | None = None,
) -> bool:
    """Write a data set, unless it is already there.

    The files are ``out/{train,val}/000000.png`` and
    ``out/annotations/instances_{train,val}.json``, with names as in LVIS v1
    for that style. An image depends on seed, split, its number and ``size``
    only. The annotation files are moved into place last, so that the next
    call redoes an interrupted one.

    Args:
        out (str | Path): folder to write to; created if needed.
        seed (int): random seed, 0 or more. Default 0.
        num_train (int): number of training images. Default 3500.
        num_val (int): number of validation images. Default 300.
        size (int): side of the images, in pixels, 48 or more. Default 128.
        style (str): ``'coco'`` or ``'lvis'``. The pixels are the same.
        overwrite (bool): replace a set made with other arguments.
        progress (Callable | None): wraps the iterable of image numbers, e.g.
            ``tqdm``; called once per split.

    Returns:
        bool: False if the same set was already there.

    Raises:
        UserError: for arguments out of range, or if ``out`` holds other data.
    """
    arguments: dict[str, Any] = dict(
        version=VERSION,
        seed=seed,
        num_train=num_train,
        num_val=num_val,
        size=size,
    )
    if style != 'coco':
        arguments['style'] = style
    _check_arguments(arguments)
    ann_name, folder_name = _NAMES[style]
    # Image folder -> annotation file.
    ann_files = {
        Path(out, folder_name.format(split)): Path(
            out, 'annotations', ann_name.format(split)
        )
        for split in ('train', 'val')
    }
    if _is_complete(ann_files, arguments, overwrite):
        return False
    _write_files(ann_files, arguments, progress)
    return True


def _check_arguments(arguments: dict) -> None:
    """Raise a UserError for arguments out of range."""
    seed, num_train, num_val, size = (
        arguments[name] for name in ('seed', 'num_train', 'num_val', 'size')
    )
    if seed < 0 or num_train < 1 or num_val < 1 or size < MIN_SIZE:
        raise UserError(
            'seed must be at least 0, the numbers of images at least 1 and '
            f'size at least {MIN_SIZE}, not seed={seed}, train={num_train}, '
            f'val={num_val}, size={size}'
        )
    style = arguments.get('style', 'coco')
    if style not in STYLES:
        raise UserError(f'style must be one of {STYLES}, not {style!r}')


def _write_files(
    ann_files: dict[Path, Path], arguments: dict, progress: Callable | None
) -> None:
    """Write images, then move the annotation files into place."""
    # Without annotation files, the set counts as unfinished from here on.
    for path in ann_files.values():
        path.unlink(missing_ok=True)
    temporary = []
    seed, size = arguments['seed'], arguments['size']
    numbers = arguments['num_train'], arguments['num_val']
    for split_index, (folder, path) in enumerate(ann_files.items()):
        images = _write_images(
            folder, [seed, split_index], numbers[split_index], size, progress
        )
        content = _to_coco(images, size)
        if 'style' in arguments:
            content = to_lvis(content, folder.name)
        content['info'] = dict(description=DESCRIPTION, arguments=arguments)
        path.parent.mkdir(exist_ok=True)
        temporary.append(path.with_suffix('.json.tmp'))
        temporary[-1].write_text(json.dumps(content), encoding='utf-8')
    for source, path in zip(temporary, ann_files.values()):
        os.replace(source, path)


def _is_complete(
    ann_files: dict[Path, Path], arguments: dict, overwrite: bool
) -> bool:
    """Return whether this very set is there; refuse to replace other data."""
    complete = True
    for folder, path in ann_files.items():
        if not path.exists():
            complete = False
            continue
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            info = content['info']
            is_generated = info['description'] == DESCRIPTION
        except (ValueError, LookupError, TypeError):
            is_generated = False
        if not is_generated:
            raise UserError(
                f'{path} was not made by this generator: choose another '
                'output folder'
            )
        if info['arguments'] != arguments:
            if not overwrite:
                raise UserError(
                    f'{path} was made with {info["arguments"]}, not '
                    f'{arguments}: choose another output folder, or '
                    '--overwrite'
                )
            complete = False
            continue
        present = {p.name for p in folder.glob('*.png')}
        complete &= all(
            Path(i.get('file_name') or i['coco_url']).name in present
            for i in content['images']
        )
    return complete


def _write_images(
    folder: Path,
    seed: list[int],
    num_images: int,
    size: int,
    progress: Callable | None,
) -> Iterable[tuple[str, list[ShapeObject]]]:
    """Draw the images of a split; yield their file names and objects."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob('[0-9]*.png'):
        if path.stem.isdigit() and int(path.stem) >= num_images:
            path.unlink()  # left over from a larger set
    indices = range(num_images)
    for index in progress(indices) if progress else indices:
        image, objects = draw_image(
            np.random.default_rng([*seed, index]), size
        )
        path = folder / f'{index:06d}.png'
        # Level 1: a tenth larger than the default, three times as fast.
        if not cv2.imwrite(str(path), image, [cv2.IMWRITE_PNG_COMPRESSION, 1]):
            raise UserError(f'{path} could not be written: is the disk full?')
        yield path.name, objects


def _to_coco(
    drawn: Iterable[tuple[str, list[ShapeObject]]], size: int
) -> dict:
    """Collect images, annotations (ids from 1) and categories."""
    images, annotations = [], []
    for image_id, (file_name, objects) in enumerate(drawn, start=1):
        images.append(
            dict(id=image_id, file_name=file_name, width=size, height=size)
        )
        for shape in objects:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=shape.category_id,
                    bbox=list(shape.bbox),
                    area=float(np.count_nonzero(shape.mask)),
                    iscrowd=0,
                )
            )
    categories = [
        dict(
            id=i,
            name=name,
            supercategory='base' if i in SHAPES_BASE else 'novel',
        )
        for i, name in sorted(FAMILIES.items())
    ]
    return dict(images=images, annotations=annotations, categories=categories)
