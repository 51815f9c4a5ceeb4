"""Checks of a COCO-format data set before it is trained on, without mmdet.

They ask what mmdet's ``CocoDataset`` and this package's metrics do with such
a file: what stops them, what they leave out silently, and which objects of
the training images nobody labelled.
"""

from __future__ import annotations

import os.path as osp
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import product, zip_longest
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from mmdet_owp.datasets.coco_file import check_categories
from mmdet_owp.partitions import SPLITS, Partition

# Sides below this many pixels are left out by mmdet, longest sides below the
# second are hard to find.
MIN_SIDE = 1
TINY_SIDE = 8
# A class with fewer boxes is hardly learned, or measured by luck.
FEW_BOXES = 10
# EXIF orientations that swap width and height, and their tag.
_EXIF_ORIENTATION = 274
_EXIF_SWAPS = range(5, 9)


class Finding(NamedTuple):
    """Something to know about a data set.

    Attributes:
        level (str): ``'problem'``, with which training or evaluation stops
            or goes wrong; ``'warning'``; or ``'note'``.
        text (str): what it is, and the remedy, in one line.
    """

    level: str
    text: str


def _found(level: str, where: Collection, what: str, so: str) -> list[Finding]:
    """Make a finding of the places where something is so, if there are any.

    Args:
        level (str): of the finding.
        where (Collection): ids or names of the places.
        what (str): what is there, such as ``'boxes outside of their image'``.
        so (str): what follows, or the remedy.
    """
    if not len(where):
        return []
    places = ', '.join(str(place) for place in list(where)[:3])
    if len(where) > 3:
        places += ', …'
    return [Finding(level, f'{what}: {len(where)} ({places}); {so}')]


def _twice(values: Iterable) -> list:
    return [value for value, n in Counter(values).items() if n > 1]


def _is_size(value: object) -> bool:
    return isinstance(value, (int, float)) and value > 0


def _box(annotation: Mapping) -> Sequence[float]:
    box = annotation.get('bbox')
    if (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(v, (int, float)) for v in box)
    ):
        return box
    return [np.nan] * 4


def check_records(content: Mapping, path: str) -> list[Finding]:
    """Check ids, sizes and references of an annotation file.

    Args:
        content (dict): of the file.
        path (str): of the file.

    Returns:
        list[Finding]: where one is a problem, the other checks may not be
        possible.
    """
    images, annotations = content['images'], content['annotations']
    found = []
    try:
        check_categories(content['categories'], path)
    except ValueError as error:
        found.append(Finding('problem', str(error)))
    found += _found(
        'problem',
        [
            n
            for n, i in enumerate(images)
            if 'id' not in i or not i.get('file_name')
        ],
        'images without id or file_name, by their place in the file',
        'each needs both',
    )
    found += _found(
        'problem',
        [
            i.get('id')
            for i in images
            if not (_is_size(i.get('width')) and _is_size(i.get('height')))
        ],
        'ids of images without width and height',
        'write them, in pixels, into "images"',
    )
    found += _found(
        'problem',
        _twice(i.get('id') for i in images),
        'image ids that are there twice',
        'one of the images would get the boxes of both',
    )
    found += _found(
        'problem',
        [
            n
            for n, a in enumerate(annotations)
            if not {'id', 'image_id', 'category_id'} <= set(a)
        ],
        'annotations without id, image_id or category_id, by their place',
        'each needs all three',
    )
    found += _found(
        'problem',
        _twice(a.get('id') for a in annotations),
        'annotation ids that are there twice',
        'mmdet stops at them: number annotations from 1',
    )
    known = {i.get('id') for i in images}
    found += _found(
        'warning',
        [a.get('id') for a in annotations if a.get('image_id') not in known],
        'annotations of images that are not in the file',
        'they count for nothing',
    )
    known = {c.get('id') for c in content['categories']}
    found += _found(
        'warning',
        [
            a.get('id')
            for a in annotations
            if a.get('category_id') not in known
        ],
        'annotations of categories that are not in the file',
        'they count for nothing',
    )
    found += _found(
        'warning',
        [a['id'] for a in annotations if a.get('id') == 0],
        'annotations with the id 0',
        'pycocotools counts such an object as '
        'missed even where it is found (this package does not): number '
        'annotations from 1',
    )
    found += _found(
        'warning',
        _twice(i.get('file_name') for i in images),
        'image files that are there under two ids',
        'each counts twice',
    )
    return found


def check_boxes(content: Mapping) -> list[Finding]:
    """Check the boxes of an annotation file.

    Args:
        content (dict): of a file in which :func:`check_records` finds no
            problem.

    Returns:
        list[Finding]: problems first.
    """
    images = {i['id']: i for i in content['images']}
    annotations = [
        a for a in content['annotations'] if a['image_id'] in images
    ]
    ids = np.array([a['id'] for a in annotations])
    boxes = np.array([_box(a) for a in annotations], float).reshape(-1, 4)
    sizes = np.array(
        [
            (images[a['image_id']]['width'], images[a['image_id']]['height'])
            for a in annotations
        ],
        float,
    ).reshape(-1, 2)
    low, sides = boxes[:, :2], boxes[:, 2:]
    wrong = ~np.isfinite(boxes).all(1) | (sides < 0).any(1)
    found = _found(
        'problem',
        ids[wrong],
        'annotations whose bbox is not four '
        'finite numbers with sides from 0 on',
        'write x, y, width, height in pixels',
    )
    lost = 'left out of training, and objects that nobody finds in evaluation'
    empty = (sides < MIN_SIDE).any(1) & ~wrong
    found += _found(
        'warning',
        ids[empty],
        'annotations with boxes narrower than a pixel',
        lost,
    )
    shown = np.minimum(low + sides, sizes) - np.maximum(low, 0)
    outside = (shown <= 0).any(1) & ~wrong & ~empty
    found += _found(
        'warning',
        ids[outside],
        'annotations with boxes outside of their image',
        lost,
    )
    over = ((low < -1) | (low + sides > sizes + 1)).any(1)
    found += _found(
        'warning',
        ids[over & ~wrong & ~empty & ~outside],
        'annotations with boxes that stick out of their image',
        'are they x, y, width, height?',
    )
    tiny = (sides.max(1, initial=0) < TINY_SIDE) & ~wrong & ~empty
    found += _found(
        'warning',
        ids[tiny],
        f'annotations with boxes below {TINY_SIDE} pixels',
        'hard to learn and to find',
    )
    areas = np.array([a.get('area', 1) or 0 for a in annotations], float)
    found += _found(
        'warning',
        ids[(areas <= 0) & ~wrong & ~empty],
        'annotations with an area of 0 or less',
        'mmdet leaves them out of training: write width x height',
    )
    found += _found(
        'warning',
        [a['id'] for a in annotations if a.get('ignore')],
        'annotations marked "ignore"',
        'mmdet leaves them out of training, but they count in evaluation',
    )
    seen = Counter(
        (a['image_id'], a['category_id'], *box)
        for a, box in zip(annotations, boxes.tolist())
    )
    found += _found(
        'warning',
        [k[0] for k, n in seen.items() if n > 1],
        'same box of the same class twice, in images',
        'the second is never found',
    )
    missing = sum('iscrowd' not in a for a in annotations)
    if missing:
        found.append(
            Finding('note', f'{missing} boxes have no iscrowd: taken for 0')
        )
    return found


def check_images(
    content: Mapping,
    folder: str,
    read: bool = False,
    progress: Callable[[Iterable], Iterable] = iter,
) -> list[Finding]:
    """Check the image files of an annotation file.

    Args:
        content (dict): of the annotation file.
        folder (str): that its ``file_name`` are relative to.
        read (bool): whether to decode them all, not their headers alone.
        progress (Callable): wraps the images while they are gone through.

    Returns:
        list[Finding]: problems first.
    """
    missing, elsewhere, broken, sizes = [], [], [], []
    for image in progress(content['images']):
        name = image['file_name']
        path = osp.join(folder, name)
        if not osp.isfile(path):
            missing.append(name)
            last = name.replace('\\', '/').rsplit('/', 1)[-1]
            if last != name and osp.isfile(osp.join(folder, last)):
                elsewhere.append(name)
            continue
        size = _size(path, read)
        if size is None:
            broken.append(name)
        elif size != (image['width'], image['height']):
            sizes.append(
                f'{name}: {size[0]} x {size[1]}, not '
                f'{image["width"]} x {image["height"]}'
            )
    so = 'put them there, or give the folder that file_name starts from'
    if elsewhere:
        so += (
            f' ({len(elsewhere)} are there, but without the folder in '
            'their file_name)'
        )
    found = _found('problem', missing, f'image files not in {folder}', so)
    found += _found(
        'problem',
        broken,
        'image files that cannot be read',
        'replace them, or take them out of the file',
    )
    found += _found(
        'problem',
        sizes,
        'image files of another size than in '
        'the annotation file, as mmdet loads them, turned by EXIF',
        'their boxes are of other pixels',
    )
    found += _found(
        'warning',
        [
            i['file_name']
            for i in content['images']
            if osp.isabs(i['file_name']) or '://' in i['file_name']
        ],
        'file_name that is no path below a folder',
        'it is right on this machine at most',
    )
    return found


def _size(path: str, read: bool) -> tuple[int, int] | None:
    """Width and height of an image as mmdet loads it; None if it can't."""
    if read:
        image = cv2.imread(path)
        return None if image is None else (image.shape[1], image.shape[0])
    try:
        with Image.open(path) as image:
            exif = Image.Exif()  # image.getexif() would decode a PNG
            exif.load(image.info.get('exif'))
            turned = exif.get(_EXIF_ORIENTATION) in _EXIF_SWAPS
            return image.size[::-1] if turned else image.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def count_splits(content: Mapping, partition: Partition) -> dict[str, dict]:
    """Count images and boxes of both sides of a partition.

    Args:
        content (dict): of an annotation file.
        partition (Partition): of its classes.

    Returns:
        dict[str, dict]: for ``'base'``, ``'novel'`` and ``'all'`` the number
        of ``images`` with a box, of ``boxes`` without and of ``crowd``
        regions; and ``classes``, boxes without crowds by class name.
    """
    counts = {}
    for split in SPLITS:
        names = partition.categories(split)
        of_split = [
            a for a in content['annotations'] if a['category_id'] in names
        ]
        objects = [a for a in of_split if not a.get('iscrowd')]
        by_class = Counter(a['category_id'] for a in objects)
        counts[split] = dict(
            images=len({a['image_id'] for a in objects}),
            boxes=len(objects),
            crowd=len(of_split) - len(objects),
            classes={name: by_class[i] for i, name in names.items()},
        )
    return counts


def check_counts(
    counts: Mapping[str, Mapping], training: bool
) -> list[Finding]:
    """Check that there is enough to learn and to measure.

    Args:
        counts (dict[str, dict]): of :func:`count_splits`.
        training (bool): whether the file is that of the training images.
    """
    found = []
    split = 'base' if training else 'novel'
    if not counts[split]['boxes']:
        found.append(
            Finding(
                'problem',
                'there is no box of a base class: nothing to train on',
            )
            if training
            else Finding(
                'warning',
                'there is no box of a novel class: novel numbers will be nan',
            )
        )
    few = [
        f'{name}: {n}'
        for name, n in counts[split]['classes'].items()
        if n < FEW_BOXES
    ]
    why = 'hardly learned' if training else 'their recall is luck'
    return found + _found(
        'warning', few, f'{split} classes with under {FEW_BOXES} boxes', why
    )


def unlabelled(
    content: Mapping, partition: Partition
) -> tuple[dict, list[Finding]]:
    """Estimate which objects of training images nobody labelled.

    Novel objects are hidden in training: to a classifier they are
    background. Others may be missing from the file itself.

    Args:
        content (dict): of the annotation file of the training images.
        partition (Partition): of its classes.

    Returns:
        tuple[dict, list[Finding]]: ``training_images`` (with a base box),
        ``with_novel`` (of these, with novel objects too), ``hidden_boxes``
        (novel boxes in them), ``pairs`` (base name, novel name, images with
        both; most images first), ``sparse_images`` (at most a fifth of the
        median number of boxes), ``empty_images``; and what to note of them.
    """
    classes: dict[int, set[int]] = defaultdict(set)
    boxes: Counter[int] = Counter()
    hidden: Counter[int] = Counter()
    for a in content['annotations']:
        if a.get('iscrowd'):
            continue
        classes[a['image_id']].add(a['category_id'])
        boxes[a['image_id']] += 1
        hidden[a['image_id']] += a['category_id'] in partition.novel
    pairs: Counter[tuple[str, str]] = Counter()
    training = [i for i, c in classes.items() if c & partition.base.keys()]
    for i in training:
        pairs.update(
            (partition.base[b], partition.novel[n])
            for b, n in product(
                classes[i] & partition.base.keys(),
                classes[i] & partition.novel.keys(),
            )
        )
    with_novel = sum(hidden[i] > 0 for i in training)
    median = float(np.median(list(boxes.values()) or [0]))
    sparse = [i for i, n in boxes.items() if n <= median / 5]
    empty = sorted({i['id'] for i in content['images']} - classes.keys())
    stats = dict(
        training_images=len(training),
        with_novel=with_novel,
        hidden_boxes=sum(hidden[i] for i in training),
        pairs=[[*pair, n] for pair, n in pairs.most_common()],
        sparse_images=len(sparse),
        empty_images=len(empty),
    )
    found = []
    if with_novel:
        found.append(
            Finding(
                'note',
                f'{with_novel / len(training):.0%} of the '
                f'{len(training)} training images hold novel objects, '
                f'{stats["hidden_boxes"]} in all, which training does not '
                'show: a classifier learns them as background',
            )
        )
    found += _found(
        'note',
        sparse,
        f'images with at most a fifth of the usual {median:g} boxes',
        'is everything labelled there?',
    )
    found += _found(
        'note',
        empty,
        'images without any box',
        'if nobody labelled them, take them out of files for evaluation',
    )
    return stats, found + _check_groups(content) + _check_federated(content)


def _check_groups(content: Mapping) -> list[Finding]:
    """Find classes that a folder of images never has.

    A class as frequent there as elsewhere would be in ten images of it: were
    the labellers of that folder asked for it?
    """
    folder = {i['id']: osp.dirname(i['file_name']) for i in content['images']}
    names = {c['id']: c['name'] for c in content['categories']}
    sizes = Counter(folder.values())
    pairs = {
        (a['image_id'], a['category_id'])
        for a in content['annotations']
        if a['image_id'] in folder and a['category_id'] in names
    }
    of_class = Counter(category for _, category in pairs)
    seen = {(folder[image], category) for image, category in pairs}
    never = [
        f'{names[category]} in {name or "."}/'
        for name, category in product(sizes, of_class)
        if (name, category) not in seen
        and of_class[category] * sizes[name]
        >= FEW_BOXES * (len(folder) - sizes[name])
    ]
    return _found(
        'warning',
        never,
        'classes common elsewhere, but without a box in a folder of images',
        'were they labelled there?',
    )


def _check_federated(content: Mapping) -> list[Finding]:
    """Say what a federated file leaves unannotated."""
    partly = sum(
        bool(i.get('not_exhaustive_category_ids')) for i in content['images']
    )
    if not any('neg_category_ids' in i for i in content['images']):
        return []
    return [
        Finding(
            'note',
            'the file is federated: what is neither annotated nor '
            f'among the neg_category_ids of an image is unknown, and {partly} '
            'images have classes with objects left out '
            '(not_exhaustive_category_ids); docs/lvis.md tells what that '
            'means',
        )
    ]


def compare_classes(train: Partition, val: Partition) -> list[Finding]:
    """Check that labels mean the same in both files.

    Args:
        train (Partition): of the training file.
        val (Partition): of the validation file.
    """
    if train.names('base') == val.names('base'):
        return []
    return _found(
        'problem',
        [
            f'{a} and {b}'
            for a, b in zip_longest(train.names('base'), val.names('base'))
            if a != b
        ],
        'labels that mean different base classes in the two files',
        'give both files the same categories',
    )
