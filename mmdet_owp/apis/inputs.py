"""Find the images and videos that a command line names; needs no torch."""

from __future__ import annotations

import glob
import os
import os.path as osp
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import NamedTuple

import cv2
import numpy as np

from mmdet_owp.datasets.coco_records import image_name
from mmdet_owp.datasets.image_names import match_names
from mmdet_owp.errors import UserError

# Those of mmdet's inferencers, and other names of the same formats.
_IMAGES = '.jpg .jpeg .jpe .jfif .png .ppm .bmp .pgm .tif .tiff .webp'
# Holds no images, whatever the suffixes of its files.
_MACOS = '__MACOSX'
_VIDEOS = '.mp4 .avi .mov .mkv .webm .m4v .mpg .mpeg .wmv'


class Pending(NamedTuple):
    """Images, or frames of a video, without a result yet.

    Attributes:
        sources (Iterable): paths or arrays.
        entry (Callable): returns ``file_name``, ``image_id`` and further
            fields of the source at a position.
        total (int): number of sources; 0 if unknown.
    """

    sources: Iterable[str | np.ndarray]
    entry: Callable[[int], dict]
    total: int


class ImageFiles(NamedTuple):
    """Images below a folder.

    Attributes:
        folder (str): absolute path.
        names (list[str]): paths relative to it, with ``/``, sorted.
    """

    folder: str
    names: list[str]

    def pending(
        self, done: Collection[str], ids: Mapping[str, int] | None = None
    ) -> Pending:
        """Return the images that are not done.

        Args:
            done (Collection[str]): names of images with a result.
            ids (dict[str, int], optional): ids by name; images without one
                are left out.
        """
        names = [
            name
            for name in self.names
            if name not in done and (ids is None or name in ids)
        ]
        return Pending(
            sources=[osp.join(self.folder, name) for name in names],
            entry=lambda i: dict(
                file_name=names[i], image_id=ids and ids[names[i]]
            ),
            total=len(names),
        )


def is_video(source: str) -> bool:
    """Return whether an input is a video, by its suffix."""
    suffix = osp.splitext(source)[1].lower()
    return suffix in _VIDEOS.split() and not osp.isdir(source)


def find_images(sources: Sequence[str], exclude: str = '') -> ImageFiles:
    """List the images that inputs name.

    A folder stands for the images in it and in its subfolders, by suffix in
    any case; links are followed, each folder is visited once. What macOS adds
    to archives (``__MACOSX/``, ``._*``) is left out. A file is taken whatever
    its suffix. An image that two inputs name is listed once.

    Args:
        sources (Sequence[str]): images, folders, or patterns such as
            ``'photos/**/*.jpg'``.
        exclude (str): folder that is not searched, for the results.

    Returns:
        ImageFiles: in the folder given or, for an image or a pattern, the
        folder it starts with; for several inputs, their common parent.

    Raises:
        UserError: if an input does not exist or no image is found.
    """
    paths, roots = [], []
    for source in sources:
        if osp.isdir(source):
            found, root = _walk(source, exclude), source
        elif osp.lexists(source):
            found, root = [source], osp.dirname(source)
        elif glob.has_magic(source):
            root = source
            while glob.has_magic(root):
                root = osp.dirname(root)
            found = [
                match
                for match in glob.glob(source, recursive=True)
                if _is_image(match) and not osp.isdir(match)
            ]
        else:
            raise UserError(f'{source}: no such image, folder or video')
        paths += map(osp.abspath, found)
        roots.append(osp.abspath(root))
    if not paths:
        raise UserError(
            f'{", ".join(sources)}: no image here; looked for '
            f'{_IMAGES}, in subfolders too'
        )
    folder = osp.commonpath(roots)
    # Of several paths to an image, through links, the shortest is taken.
    unique = {
        (osp.realpath(osp.dirname(path)), osp.basename(path)): path
        for path in sorted(paths, key=len, reverse=True)
    }
    names = [
        osp.relpath(path, folder).replace(os.sep, '/')
        for path in unique.values()
    ]
    return ImageFiles(folder, sorted(names))


def _is_image(path: str) -> bool:
    hidden = osp.basename(path).startswith('._') or _MACOS in path.split('/')
    return osp.splitext(path)[1].lower() in _IMAGES.split() and not hidden


def _walk(folder: str, exclude: str) -> Iterator[str]:
    """Yield the images below a folder; loops of links end."""
    seen = {osp.realpath(exclude)} if exclude else set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = osp.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if name != _MACOS]
        yield from (osp.join(root, name) for name in files if _is_image(name))


def match_annotations(
    files: ImageFiles, images: Sequence[Mapping], source: str
) -> dict[str, int]:
    """Find the ids of images in an annotation file.

    An image matches if its path ends with the name in the file, or the other
    way around; see :func:`mmdet_owp.datasets.image_names.match_names`.

    Args:
        files (ImageFiles): the images.
        images (Sequence[dict]): ``images`` of the annotation file. LVIS has a
            ``coco_url`` instead of a ``file_name``.
        source (str): the annotation file, for messages.

    Returns:
        dict[str, int]: ids by name, of the images in the annotation file.

    Raises:
        UserError: if no image is in the file, an image may be several of the
            file, or two match the same one.
    """
    paths = {osp.join(files.folder, name): name for name in files.names}
    ids = match_names(paths, images, source)
    if not ids:
        example = image_name(images[0]) if images else None
        raise UserError(
            f'{source}: contains none of the images, such as '
            f'{next(iter(paths), None)}, but {len(images)} others, such as '
            f'{example}; the folders in their names must be those on the disk'
        )
    return {paths[path]: image_id for path, image_id in ids.items()}


class Video:
    """The frames of a video.

    Args:
        path (str): a file that OpenCV can read.

    Attributes:
        num_frames (int): as the file says; 0 if it does not.
        fps (float): frames per second.

    Raises:
        UserError: if there is no such file or it cannot be read.
    """

    def __init__(self, path: str) -> None:
        if not osp.isfile(path):
            raise UserError(f'{path}: no such video')
        self.path = path
        capture = cv2.VideoCapture(path)
        self.num_frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.fps = capture.get(cv2.CAP_PROP_FPS) or 25.0
        readable = capture.grab()
        capture.release()
        if not readable:
            raise UserError(
                f'{path}: not a video that OpenCV can read, or a damaged one'
            )

    def frames(self, start: int = 0) -> Iterator[np.ndarray]:
        """Read frames, (height, width, 3) uint8, BGR.

        Args:
            start (int): the first frame. Those before it are decoded as
                well, since seeking is not exact in every format.
        """
        capture = cv2.VideoCapture(self.path)
        try:
            for _ in range(start):
                capture.grab()
            while True:
                is_read, frame = capture.read()
                if not is_read:
                    return
                yield frame
        finally:
            capture.release()

    def pending(self, done: Collection[str]) -> Pending:
        """Return the frames after the first ``len(done)``."""
        start, name = len(done), osp.basename(self.path)
        return Pending(
            sources=self.frames(start),
            entry=lambda i: dict(
                file_name=f'{name}/{start + i:06}.jpg',
                image_id=start + i + 1,
                frame_id=start + i,
            ),
            total=max(0, self.num_frames - start),
        )
