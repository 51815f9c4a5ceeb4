"""Image files as mmdet reads them: their sizes, and names that are off."""

from __future__ import annotations

import os
import os.path as osp
import warnings
from collections.abc import Callable, Sequence
from urllib.parse import unquote

import cv2
import numpy as np
from PIL import Image

# The tag of the EXIF orientation, and its values that swap width and height.
_EXIF_ORIENTATION = 274
_EXIF_SWAPS = range(5, 9)
# What complete files of these formats, by Pillow's name, end with.
_ENDS = {'JPEG': b'\xff\xd9', 'PNG': b'\0\0\0\0IEND\xaeB`\x82'}
# What TIFF, EXR, HDR and PFM files start with, which may hold floats.
_FLOAT_STARTS = b'II*\0', b'II+\0', b'MM\0', b'v/1\1', b'#?', b'PF', b'Pf'


def image_size(path: str, decode: bool = True) -> tuple[int, int] | str:
    """Return width and height of an image as mmdet loads it.

    Args:
        path (str): an existing file.
        decode (bool): decode the image. Otherwise the headers of JPEG and PNG
            files are read, if these end as they should; others are decoded.

    Returns:
        tuple[int, int] | str: the size; ``'unreadable'`` if mmdet cannot load
        it, ``'float_pixels'`` if it would not load the values in the file.
    """
    size = None if decode else _header_size(path)
    return size or _decoded_size(path)


def _header_size(path: str) -> tuple[int, int] | None:
    """Return the size that the header says; None if it has to be decoded."""
    try:
        with warnings.catch_warnings(), open(path, 'rb') as file:
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            image = Image.open(file)
            exif = Image.Exif()  # image.getexif() would decode a PNG
            exif.load(image.info.get('exif'))
            swapped = exif.get(_EXIF_ORIENTATION) in _EXIF_SWAPS
            end = _ENDS[image.format]
            file.seek(-len(end), os.SEEK_END)
            if file.read() != end:
                return None
            return image.size[::-1] if swapped else image.size
    except Exception:  # of another format, too large for Pillow, or damaged
        return None


def _decoded_size(path: str) -> tuple[int, int] | str:
    try:
        if has_float_pixels(path):
            return 'float_pixels'
        content = np.fromfile(path, np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        image = None
    return 'unreadable' if image is None else (image.shape[1], image.shape[0])


def has_float_pixels(path: str) -> bool:
    """Return whether a file has other pixel values than mmdet would load.

    Raises:
        OSError: if there is no such file.
    """
    with open(path, 'rb') as file:
        if not file.read(4).startswith(_FLOAT_STARTS):
            return False
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    return pixels is not None and pixels.dtype.kind == 'f'


def name_hint(folder: str, names: Sequence[str]) -> str:
    """Return how missing files would be found; empty if no way is known.

    Args:
        folder (str): folder that names are relative to.
        names (Sequence[str]): ``file_name`` of missing files.
    """
    for how, rename in _RENAMED.items():
        num = sum(osp.isfile(osp.join(folder, rename(n))) for n in names)
        if num:
            return f' ({num} exist there {how})'
    return ''


def _with_slashes(name: str) -> str:
    return name.replace('\\', '/')


# How names of files that exist may be written in an annotation file.
_RENAMED: dict[str, Callable[[str], str]] = {
    'with "/" for "\\" in their file_name': _with_slashes,
    'without the percent-encoding of their file_name': lambda name: unquote(
        _with_slashes(name)
    ),
    'without the folder in their file_name': lambda name: osp.basename(
        _with_slashes(unquote(name))
    ),
}
