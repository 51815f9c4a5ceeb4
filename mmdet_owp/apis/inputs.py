"""Finds the images that tools are asked to look at; no torch, no mmdet."""

from __future__ import annotations

import glob
import os
import os.path as osp
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

# Those that mmdet's inferencers look for.
IMAGE_SUFFIXES = (
    '.jpg',
    '.jpeg',
    '.png',
    '.ppm',
    '.bmp',
    '.pgm',
    '.tif',
    '.tiff',
    '.webp',
)
VIDEO_SUFFIXES = (
    '.mp4',
    '.avi',
    '.mov',
    '.mkv',
    '.webm',
    '.m4v',
    '.mpg',
    '.mpeg',
    '.wmv',
)


class ImageFiles(NamedTuple):
    """Images by name.

    Attributes:
        folder (str): the folder that names are relative to, absolute.
        names (list[str]): paths of the images in it, with ``/``, ascending.
    """

    folder: str
    names: list[str]


def is_video(source: str) -> bool:
    """Tell by its suffix whether an input is a video."""
    return source.lower().endswith(VIDEO_SUFFIXES) and not osp.isdir(source)


def find_images(sources: Sequence[str], leave_out: str = '') -> ImageFiles:
    """List the images that inputs name.

    A folder stands for all images in it and in its subfolders, whatever the
    case of their suffix; links are followed, each folder once. A file is
    taken whatever its suffix. An image that two inputs name comes once.

    Args:
        sources (Sequence[str]): images, folders, or patterns such as
            ``'photos/**/*.jpg'``.
        leave_out (str): a folder not to look into, where results go.

    Returns:
        ImageFiles: names are relative to the folder given or, for an image
        or a pattern, the folder it starts with; with several inputs, to the
        folder that holds them all.

    Raises:
        FileNotFoundError: in one line, if an input isn't there.
        ValueError: likewise, if no image is found.
    """
    paths, roots = [], []
    for source in sources:
        if osp.isdir(source):
            found, root = _walk(source, leave_out), source
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
            raise FileNotFoundError(
                f'{source}: no such image, folder or video'
            )
        paths += map(osp.abspath, found)
        roots.append(osp.abspath(root))
    if not paths:
        raise ValueError(
            f'{", ".join(sources)}: no image here; looked for '
            f'{" ".join(IMAGE_SUFFIXES)}, in subfolders too'
        )
    folder = osp.commonpath(roots)
    # By several ways through links to folders the shortest is taken.
    once = {
        (osp.realpath(osp.dirname(path)), osp.basename(path)): path
        for path in sorted(paths, key=len, reverse=True)
    }
    names = [
        osp.relpath(path, folder).replace(os.sep, '/')
        for path in once.values()
    ]
    return ImageFiles(folder, sorted(names))


def _is_image(path: str) -> bool:
    return path.lower().endswith(IMAGE_SUFFIXES)


def _walk(folder: str, leave_out: str) -> Iterator[str]:
    """Yield the images below a folder; a loop of links ends."""
    seen = {osp.realpath(leave_out)} if leave_out else set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = osp.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (osp.join(root, name) for name in files if _is_image(name))


def match_annotations(
    names: Iterable[str], images: Sequence[Mapping], source: str
) -> dict[str, int]:
    """Give images the ids that they have in an annotation file.

    Args:
        names (Iterable[str]): of image files, with ``/``.
        images (Sequence[dict]): ``images`` of the annotation file. LVIS has a
            ``coco_url`` instead of a ``file_name``.
        source (str): the annotation file, for messages.

    Returns:
        dict[str, int]: the id of each image in the annotation file, found by
        its whole name or, where that is clear, by its last part.

    Raises:
        ValueError: in one line, if none is in the file, or two are the same
            image of it.
    """
    by_name = {i.get('file_name') or i['coco_url']: i['id'] for i in images}
    by_last = {}
    for name, image_id in by_name.items():
        last = osp.basename(name)
        by_last[last] = None if last in by_last else image_id
    ids, owners = {}, {}
    for name in names:
        image_id = by_name.get(name, by_last.get(osp.basename(name)))
        if image_id is None:
            continue
        if image_id in owners:
            raise ValueError(
                f'{source}: {owners[image_id]} and {name} are both image '
                f'{image_id} of it; give only the folder of its images'
            )
        ids[name], owners[image_id] = image_id, name
    if not ids:
        raise ValueError(
            f'{source}: none of the images is in it, which has '
            f'{len(images)}, such as {next(iter(by_name), None)}'
        )
    return ids


class Video:
    """The frames of a video, one at a time.

    Args:
        path (str): of a file that OpenCV can read.

    Attributes:
        num_frames (int): how many it says it has; 0 if it doesn't say.
        fps (float): frames a second.

    Raises:
        FileNotFoundError: in one line, if there is no such file.
        ValueError: likewise, if it can't be read.
    """

    def __init__(self, path: str) -> None:
        if not osp.isfile(path):
            raise FileNotFoundError(f'{path}: no such video')
        self.path = path
        capture = cv2.VideoCapture(path)
        self.num_frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.fps = capture.get(cv2.CAP_PROP_FPS) or 25.0
        readable = capture.grab()
        capture.release()
        if not readable:
            raise ValueError(
                f'{path}: not a video that OpenCV can read, or a damaged one'
            )

    def frames(self, start: int = 0) -> Iterator[np.ndarray]:
        """Read frames, (height, width, 3) uint8, BGR.

        Args:
            start (int): the first one. Those before are decoded all the
                same, since seeking is not exact in every format.
        """
        capture = cv2.VideoCapture(self.path)
        try:
            for _ in range(start):
                capture.grab()
            while True:
                read, frame = capture.read()
                if not read:
                    return
                yield frame
        finally:
            capture.release()
