"""Thumbnails of images, made in parallel."""

from __future__ import annotations

import os.path as osp
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps
from tqdm import tqdm

# EXIF tag; values above 4 swap width and height.
_ORIENTATION = 274


class Thumbnail(NamedTuple):
    """A thumbnail, or why there is none.

    Attributes:
        width (int): of the image file, in pixels; 0 if it cannot be read.
        height (int): of the image file.
        fault (str): empty if the thumbnail was made.
    """

    width: int
    height: int
    fault: str


def make_thumbnails(
    paths: Sequence[str], folder: Path, side: int, threads: int
) -> list[Thumbnail]:
    """Write ``0.jpg``, ``1.jpg``, … of images; none of those that fail.

    Args:
        paths (Sequence[str]): image files.
        folder (Path): an existing folder.
        side (int): longest side of a thumbnail, in pixels.
        threads (int): number of threads; Pillow releases the GIL.
    """

    def make(task: tuple[int, str]) -> Thumbnail:
        return _make(task[1], folder / f'{task[0]}.jpg', side)

    # Not in the threads, which share the filters.
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        done = pool.map(make, enumerate(paths))
        bar = tqdm(done, 'thumbnails', len(paths), unit='image')
        return list(bar)


def _make(path: str, out: Path, side: int) -> Thumbnail:
    if not osp.isfile(path):
        return Thumbnail(0, 0, 'no such file')
    try:
        with Image.open(path) as image:
            size = image.size
            image.draft('RGB', (side, side))  # of a JPEG: decode fewer pixels
            if image.getexif().get(_ORIENTATION, 1) > 4:
                size = size[::-1]
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith('I'):  # 16 bits
                upright = upright.point(lambda value: value / 256).convert('L')
            small = upright.convert('RGB')
        small.thumbnail((side, side))
        small.save(out, quality=80)
    except Exception as error:  # Pillow raises any type on damaged files
        return Thumbnail(0, 0, f'cannot be read ({error})')
    return Thumbnail(*size, '')
