"""Cut a small set of small images from a large COCO data set."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.errors import UserError


def choose_images(coco: Mapping, number: int, seed: int) -> list[dict]:
    """Draw images that have objects; return their entries, sorted by id.

    Raises:
        UserError: if fewer images have objects.
    """
    with_objects = {a['image_id'] for a in coco['annotations']}
    images = sorted(
        (i for i in coco['images'] if i['id'] in with_objects),
        key=lambda i: i['id'],
    )
    if len(images) < number:
        raise UserError(
            f'{number} images requested, but only {len(images)} have objects'
        )
    order = np.random.default_rng(seed).permutation(len(images))[:number]
    return [images[i] for i in sorted(order)]


def shrink_image(
    info: Mapping, source: Path, target: Path, longest: int, quality: int
) -> tuple[dict, float]:
    """Write a smaller copy of an image as ``STEM.webp``.

    Args:
        info (dict): its entry in the annotation file.
        source (Path): folder to read it from.
        target (Path): folder to write the copy to.
        longest (int): maximum of the longest side, in pixels.
        quality (int): of WebP, 1 to 100.

    Returns:
        tuple[dict, float]: the copy's entry, and its scale.

    Raises:
        UserError: if the file is not an image of the size given in ``info``.
    """
    path = source / info['file_name']
    image = cv2.imread(
        str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if image is None:
        raise UserError(f'{path}: missing or not an image')
    height, width = image.shape[:2]
    if (width, height) != (info['width'], info['height']):
        raise UserError(
            f'{path}: {width} x {height}, but {info["width"]} x '
            f'{info["height"]} in the annotation file'
        )
    scale = min(1.0, longest / max(width, height))
    size = [max(1, round(side * scale)) for side in (width, height)]
    if scale < 1:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    name = Path(info['file_name']).stem + '.webp'
    parameters = [cv2.IMWRITE_WEBP_QUALITY, quality]
    if not cv2.imwrite(str(target / name), image, parameters):
        raise UserError(f'cannot write {target / name}')
    entry = dict(id=info['id'], file_name=name, width=size[0], height=size[1])
    return entry, scale


def cut_part(
    root: Path,
    out: Path,
    part: str,
    number: int,
    *,
    seed: int,
    longest: int,
    quality: int,
    progress: Callable[[Iterable], Iterable] = iter,
) -> tuple[Path, dict]:
    """Cut ``number`` images of a part of COCO 2017, ``'train'`` or ``'val'``.

    Args are those of :func:`choose_images` and :func:`shrink_image`;
    ``progress`` wraps the iterable of images.

    Returns:
        tuple[Path, dict]: the annotation file written, and its content.

    Raises:
        UserError: if files are missing or wrong, or images are too few.
    """
    ann_file = root / 'annotations' / f'instances_{part}2017.json'
    coco = read_coco(str(ann_file))
    try:
        chosen = choose_images(coco, number, seed)
    except UserError as error:
        raise UserError(f'{ann_file}: {error}') from error
    source, target = root / f'{part}2017', out / part
    target.mkdir(parents=True, exist_ok=True)
    images, scales = [], {}
    for info in progress(chosen):
        entry, scales[info['id']] = shrink_image(
            info, source, target, longest, quality
        )
        images.append(entry)
    annotations = [
        _scale_annotation(a, scales[a['image_id']])
        for a in coco['annotations']
        if a['image_id'] in scales
    ]
    description = 'subset of COCO 2017, made by mmdet_owp'
    content = dict(
        info=dict(description=description, seed=seed, longest=longest),
        images=images,
        annotations=annotations,
        categories=coco['categories'],
    )
    # Written last, so that it marks a complete part.
    path = out / 'annotations' / f'instances_{part}.json'
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding='utf-8')
    return path, content


def _scale_annotation(annotation: Mapping, scale: float) -> dict:
    kept = {k: annotation[k] for k in ('id', 'image_id', 'category_id')}
    return dict(
        kept,
        bbox=[round(value * scale, 2) for value in annotation['bbox']],
        area=round(annotation['area'] * scale**2, 2),
        iscrowd=annotation['iscrowd'],
    )
