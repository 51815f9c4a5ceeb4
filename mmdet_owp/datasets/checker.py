"""Check a COCO-format data set before training, without mmdet.

The checks look for what stops mmdet's ``CocoDataset`` or the metrics of this
package, what these leave out silently, and objects in the training images
that may not be annotated.
"""

from __future__ import annotations

import filecmp
import os.path as osp
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product, zip_longest
from typing import Any, NamedTuple

import numpy as np

from mmdet_owp.datasets.coco_file import check_categories, parse_coco
from mmdet_owp.datasets.coco_records import normalize, oddities
from mmdet_owp.datasets.image_files import image_size, name_hint
from mmdet_owp.datasets.training_view import (
    TrainingView,
    training_view,
    why_left_out,
)
from mmdet_owp.errors import UserError
from mmdet_owp.partitions import SPLITS, Partition, parse_partition

LEVELS = ('problem', 'warning', 'note')
# Boxes whose longest side is below this (pixels) are hard to find.
TINY_SIDE = 8
# Too few boxes to learn a class, or to measure its recall.
FEW_BOXES = 10


# Findings by name: level, what is wrong, consequence or remedy.
_TEXTS = {
    'no_file_name': ('problem', 'ids of images with a coco_url, but no '
                     'file_name', 'only LVISSplitDataset reads them'),
    'id_0': ('warning', 'annotations with the id 0', 'pycocotools counts such '
             'an object as missed even if it is found (this package does '
             'not): number annotations from 1'),
    'thin': ('warning', 'annotations with boxes narrower than a pixel',
             'left out of training, but counted as missed in evaluation'),
    'outside': ('warning', 'annotations with boxes outside of their image',
                'left out of training, but counted as missed in evaluation'),
    'across': ('warning', 'annotations with boxes that exceed their image',
               'are they x, y, width, height?'),
    'tiny': ('warning', f'annotations with boxes below {TINY_SIDE} pixels',
             'hard to learn and to find'),
    'area': ('warning', 'annotations with an area of 0', 'left out of '
             'training, but counted in evaluation: write width x height'),
    'odd_area': ('warning', 'annotations with an area that no mask in their '
                 'box has', 'AR of small, medium and large objects follows '
                 'the area'),
    'ignore': ('warning', 'annotations marked "ignore"', 'mmdet leaves them '
               'out of training, but evaluation counts them'),
    'same_box': ('warning', 'images with the same box of the same class '
                 'twice', 'the second one is never found'),
    'missing': ('problem', 'image files not in {folder}', 'add them, or give '
                'the folder that file_name is relative to{hint}'),
    'unreadable': ('problem', 'image files that cannot be read',
                   'replace them, or remove them from the annotation file'),
    'float_pixels': ('problem', 'image files of floating-point pixels',
                     'they would be read wrongly: convert them to 8 bits'),
    'other_size': ('problem', 'image files of another size, as mmdet '
                   'loads them, than in the annotation file',
                   'their boxes do not fit their pixels'),
    'same_images': ('problem', 'images for training and for evaluation',
                    'evaluation would see what was trained on: divide them'),
    'absolute': ('warning', 'file_name that is not a relative path',
                 'valid on this machine at most'),
    'few_boxes': ('warning', f'{{split}} classes with fewer than {FEW_BOXES} '
                  'boxes', '{consequence}'),
    'sparse': ('note', 'images with at most a fifth of the median of '
               '{median:g} boxes', 'are all of their objects labeled?'),
    'empty': ('note', 'images without any box', 'if they are not labeled, '
              'remove them from files for evaluation'),
    'absent': ('warning', 'common classes without any box in a folder of '
               'images', 'were they labeled there?'),
    'classes': ('problem', 'labels that mean different base classes in the '
                'two files', 'use the same categories in both files')
}  # fmt: skip


# Findings about boxes, by the reasons of `why_left_out`.
_FAULTS = {
    'thin': 'narrower than a pixel',
    'outside': 'outside of their image',
    'across': 'across',
    'tiny': 'tiny',
    'area': 'of area 0',
    'odd_area': 'odd_area',
    'ignore': 'marked "ignore"',
    'same_box': 'same_box',
}


class Finding(NamedTuple):
    """A fact to know about a data set.

    Attributes:
        level (str): ``'problem'`` if it stops or spoils training or
            evaluation, else ``'warning'`` or ``'note'``.
        text (str): the fact and its consequence or remedy, on one line.
    """

    level: str
    text: str


class FileReport(NamedTuple):
    """Findings about an annotation file, problems first.

    The summary has the numbers of ``images`` and ``annotations``. Unless
    problems prevent it, there are a partition, the names of the images and,
    in the summary, ``splits`` (:func:`count_splits`: what evaluation counts)
    and, only of training files, ``training``
    (:class:`~mmdet_owp.datasets.training_view.TrainingView`) and
    ``unlabelled`` (:func:`find_unlabeled`).
    """

    findings: list[Finding]
    summary: dict
    partition: Partition | None = None
    names: tuple[str, ...] = ()


def _findings(
    entries: Mapping[str, Sequence], **values: object
) -> list[Finding]:
    """Return a finding for every name in ``entries`` that has entries.

    Args:
        entries (dict): ids or names of faulty entries, by key of ``_TEXTS``.
        **values: to put into the text.
    """
    found = []
    for name, faulty in entries.items():
        if len(faulty):
            level, what, remedy = _TEXTS[name]
            examples = [str(entry) for entry in faulty[:3]]
            examples += ['…'] * (len(faulty) > 3)
            what, remedy = what.format(**values), remedy.format(**values)
            count = f'{len(faulty)} ({", ".join(examples)})'
            found.append(Finding(level, f'{what}: {count}; {remedy}'))
    return found


def check_file(
    path: str,
    base: str,
    folder: str | None = None,
    *,
    training: bool = True,
    decode: bool = False,
    progress: Callable[[Iterable], Iterable] = iter,
) -> FileReport:
    """Check an annotation file and the images it names.

    Args:
        path (str): the annotation file.
        base (str): base classes; see :func:`parse_partition`.
        folder (str, optional): folder of the images. None skips them.
        training (bool): whether it is the training file.
        decode (bool): see :func:`check_images`.
        progress (Callable): see :func:`check_images`.

    Raises:
        UserError: if it is not a COCO annotation file or lacks the classes.
    """
    content = parse_coco(path)
    summary: dict = {
        k: len(content[k]) if isinstance(content[k], list) else 0
        for k in ('images', 'annotations')
    }
    found = check_records(content, path)
    if any(f.level == 'problem' for f in found):
        return FileReport(found, summary)
    partition = parse_partition(base, content['categories'], path)
    summary['splits'] = count_splits(content, partition)
    found += check_boxes(content)
    found += check_counts(summary['splits'], training)
    if training:
        view = training_view(content, partition.base)
        summary['training'] = view.summary()
        found += check_training(view, len(content['images']))
    if folder is not None:
        found += check_images(content, folder, decode, progress)
    if training:
        summary['unlabelled'], unlabeled = find_unlabeled(content, partition)
        found += unlabeled
    found.sort(key=lambda f: LEVELS.index(f.level))
    names = tuple(i['file_name'] for i in content['images'])
    return FileReport(found, summary, partition, names)


def check_records(content: Mapping, path: str) -> list[Finding]:
    """Check and normalize the records of an annotation file, in place.

    The other checks need a file without problems here.
    """
    faults = normalize(content, path)
    if not faults:
        try:
            check_categories(content['categories'], path)
        except UserError as error:
            faults = [str(error)]
    if faults:
        return [Finding('problem', fault) for fault in faults]
    images, annotations = content['images'], content['annotations']
    return [
        *(Finding('warning', text) for text in oddities(content)),
        *_findings(
            dict(
                no_file_name=[
                    i['id'] for i in images if not i.get('file_name')
                ],
                id_0=[a['id'] for a in annotations if a['id'] == 0],
            )
        ),
    ]


def check_boxes(content: Mapping) -> list[Finding]:
    """Check the boxes of a normalized annotation file."""
    images = {i['id']: i for i in content['images']}
    annotations = [
        a for a in content['annotations'] if a['image_id'] in images
    ]
    boxes = np.array([a['bbox'] for a in annotations], float).reshape(-1, 4)
    keys = product(annotations, ('width', 'height'))
    sizes = np.array([images[a['image_id']][side] for a, side in keys], float)
    sizes = sizes.reshape(-1, 2)
    areas = np.array([a['area'] for a in annotations], float)
    times = Counter(
        (a['image_id'], a['category_id'], *box)
        for a, box in zip(annotations, boxes.tolist())
    )
    reasons = [why_left_out(a, images[a['image_id']]) for a in annotations]
    faults = defaultdict(list)
    for a, reason in zip(annotations, reasons):
        faults[reason].append(a['id'])
    is_kept = np.array([not reason for reason in reasons], bool)
    for name, mask in _box_faults(boxes, sizes, areas).items():
        rows = np.flatnonzero(mask & is_kept)
        faults[name] = [annotations[row]['id'] for row in rows]
    faults['same_box'] = [key[0] for key, n in times.items() if n > 1]
    found = _findings(
        {
            name: faults[reason]
            for name, reason in _FAULTS.items()
            if faults[reason]
        }
    )
    missing = sum('iscrowd' not in a for a in annotations)
    if missing:
        text = f'{missing} annotations have no iscrowd: 0 is assumed'
        found.append(Finding('note', text))
    return found


def _box_faults(
    boxes: np.ndarray, sizes: np.ndarray, areas: np.ndarray
) -> dict[str, np.ndarray]:
    """Return boolean masks of doubtful boxes by name of the fault.

    A connected mask that touches all sides of its box has at least as many
    pixels as the longer side, and at most those of the box.

    Args:
        boxes (np.ndarray): (n, 4) x, y, width, height.
        sizes (np.ndarray): (n, 2) width and height of their images.
        areas (np.ndarray): (n,).
    """
    low, sides = boxes[:, :2], boxes[:, 2:]
    longest = sides.max(1, initial=0)
    return dict(
        across=((low < -1) | (low + sides > sizes + 1)).any(1),
        tiny=longest < TINY_SIDE,
        odd_area=(areas > (sides + 2).prod(1)) | (areas < longest / 2),
    )


def check_images(
    content: Mapping,
    folder: str,
    decode: bool = False,
    progress: Callable[[Iterable], Iterable] = iter,
) -> list[Finding]:
    """Check the image files of an annotation file.

    Args:
        content (dict): of the annotation file.
        folder (str): folder that each ``file_name`` is relative to.
        decode (bool): decode every image; see :func:`image_size`.
        progress (Callable): wraps the iterable of images.
    """
    faults: dict[str, list[str]]
    faults = dict(missing=[], unreadable=[], float_pixels=[], other_size=[])
    names = [i['file_name'] for i in content['images']]
    for image in progress(content['images']):
        name, expected = image['file_name'], (image['width'], image['height'])
        path = osp.join(folder, name)
        if not osp.isfile(path):
            faults['missing'].append(name)
            continue
        size = image_size(path, decode)
        if isinstance(size, str):
            faults[size].append(name)
        elif size != expected:
            sizes = '{} x {}, not {} x {}'.format(*size, *expected)
            faults['other_size'].append(f'{name}: {sizes}')
    faults['absolute'] = [n for n in names if osp.isabs(n) or '://' in n]
    hint = name_hint(folder, faults['missing'])
    return _findings(faults, folder=folder, hint=hint)


def count_splits(content: Mapping, partition: Partition) -> dict[str, dict]:
    """Count images and boxes per split, as evaluation does.

    Returns:
        dict[str, dict]: per split the number of ``images`` with a box, of
        ``boxes`` without crowd regions and of ``crowd`` regions; and
        ``classes``, boxes without crowd regions by class name.
    """
    images = {i['id'] for i in content['images']}
    counts = {}
    for split in SPLITS:
        names = partition.categories(split)
        annotations = [
            a
            for a in content['annotations']
            if a['category_id'] in names and a['image_id'] in images
        ]
        objects = [a for a in annotations if not a.get('iscrowd')]
        per_class = Counter(a['category_id'] for a in objects)
        counts[split] = dict(
            images=len({a['image_id'] for a in objects}),
            boxes=len(objects),
            crowd=len(annotations) - len(objects),
            classes={name: per_class[i] for i, name in names.items()},
        )
    return counts


def check_counts(
    counts: Mapping[str, Mapping], training: bool
) -> list[Finding]:
    """Check that :func:`count_splits` finds enough boxes to learn or test."""
    split = 'base' if training else 'novel'
    consequence = 'hard to learn' if training else 'their recall is noisy'
    found = []
    if not (training or counts[split]['boxes']):
        text = 'no box of a novel class: metrics of novel classes will be nan'
        found = [Finding('warning', text)]
    few = [
        f'{name}: {n}'
        for name, n in counts[split]['classes'].items()
        if n < FEW_BOXES
    ]
    return found + _findings(
        dict(few_boxes=few), split=split, consequence=consequence
    )


def check_training(view: TrainingView, num_images: int) -> list[Finding]:
    """Report images and boxes that training leaves out.

    Args:
        view (TrainingView): of the file.
        num_images (int): in the file.
    """
    found = []
    images, boxes = map(dict, view[2:])
    if not view.images:
        text = f'nothing to train on: {_reasons(images)}'
        return [Finding('problem', text)]
    images.pop('without a base box', None)
    for reasons, kind, total in (
        (images, 'images', num_images),
        (boxes, 'base boxes', view.boxes + sum(boxes.values())),
    ):
        if reasons:
            text = (
                f'{sum(reasons.values())} of {total} {kind} are left out of '
                f'training: {_reasons(reasons)}'
            )
            found.append(Finding('warning', text))
    return found


def _reasons(reasons: Mapping[str, int]) -> str:
    return ', '.join(f'{n} {reason}' for reason, n in reasons.items())


def find_unlabeled(
    content: Mapping, partition: Partition
) -> tuple[dict, list[Finding]]:
    """Estimate which objects of the training images have no label.

    Boxes of novel classes are hidden in training, so a classifier learns
    these objects as background; others may be missing from the file itself.

    Returns:
        tuple[dict, list[Finding]]: ``training_images``, ``with_novel`` (of
        these, with novel boxes), ``hidden_boxes`` (novel boxes in them),
        ``pairs`` (base name, novel name, number of images with both; most
        images first), ``sparse_images`` (at most a fifth of the median number
        of boxes) and ``empty_images``; and the findings.
    """
    boxes = defaultdict(list)  # category ids by image id
    for a in content['annotations']:
        if not a.get('iscrowd'):
            boxes[a['image_id']].append(a['category_id'])
    base, novel = partition.base, partition.novel
    trained = training_view(content, base).images
    training = [c for image, c in boxes.items() if image in trained]
    hidden = [sum(i in novel for i in classes) for classes in training]
    pairs: Counter[tuple[str, str]] = Counter()
    for classes in map(set, training):
        names = (classes & base.keys(), classes & novel.keys())
        pairs.update((base[b], novel[n]) for b, n in product(*names))
    counts = {image: len(classes) for image, classes in boxes.items()}
    median = float(np.median(list(counts.values()) or [0]))
    sparse = [image for image, n in counts.items() if n <= median / 5]
    empty = sorted({i['id'] for i in content['images']} - counts.keys())
    stats: dict[str, Any] = dict(
        training_images=len(training),
        with_novel=len(hidden) - hidden.count(0),
        hidden_boxes=sum(hidden),
        pairs=[[*pair, n] for pair, n in pairs.most_common()],
        sparse_images=len(sparse),
        empty_images=len(empty),
    )
    found = []
    if stats['hidden_boxes']:
        text = (
            f'{stats["with_novel"] / len(training):.0%} of the '
            f'{len(training)} training images contain novel objects '
            f'({stats["hidden_boxes"]} boxes), which training hides: a '
            'classifier learns them as background'
        )
        found.append(Finding('note', text))
    found += _findings(dict(sparse=sparse, empty=empty), median=median)
    return stats, found + _check_folders(content) + _check_federated(content)


def _check_folders(content: Mapping) -> list[Finding]:
    """Find common classes that have no box in a folder of images.

    A class is reported if, at its frequency elsewhere, ``FEW_BOXES`` images
    of the folder would have it. Maybe it was not labeled there.
    """
    folder = {i['id']: osp.dirname(i['file_name']) for i in content['images']}
    names = {c['id']: c['name'] for c in content['categories']}
    num_images = Counter(folder.values())
    image_classes = {
        (a['image_id'], a['category_id'])
        for a in content['annotations']
        if a['image_id'] in folder and a['category_id'] in names
    }
    per_class = Counter(category for _, category in image_classes)
    labeled = {(folder[image], category) for image, category in image_classes}
    absent = [
        f'{names[category]} in {name or "."}/'
        for name, category in product(num_images, per_class)
        if (name, category) not in labeled
        and per_class[category] * num_images[name]
        >= FEW_BOXES * (len(folder) - num_images[name])
    ]
    return _findings(dict(absent=absent))


def _check_federated(content: Mapping) -> list[Finding]:
    """Describe what a federated file leaves unannotated."""
    if not any('neg_category_ids' in i for i in content['images']):
        return []
    partly = sum(
        bool(i.get('not_exhaustive_category_ids')) for i in content['images']
    )
    text = (
        'the file is federated: classes neither annotated nor among the '
        f'neg_category_ids of an image are unknown there, and {partly} images '
        'have classes that are not annotated exhaustively '
        '(not_exhaustive_category_ids); see docs/lvis.md'
    )
    return [Finding('note', text)]


def compare_images(
    train: Sequence[str], val: Sequence[str], folders: Sequence[str] = ()
) -> list[Finding]:
    """Find images that are in both files.

    Args:
        train (Sequence[str]): names of the images for training.
        val (Sequence[str]): of those for evaluation.
        folders (Sequence[str]): of the images, one or one each. Images in
            different folders are the same if their files have the same name
            and content. Without it, names are compared.
    """
    same = sorted(set(train) & set(val))
    if folders:
        first, last = folders[0], folders[-1]
        paths = {osp.realpath(osp.join(first, name)) for name in train}
        same = sorted(
            name
            for name in set(val)
            if osp.realpath(osp.join(last, name)) in paths
            or (name in same and _same_content(first, last, name))
        )
    return _findings(dict(same_images=same))


def _same_content(first: str, last: str, name: str) -> bool:
    one, other = osp.join(first, name), osp.join(last, name)
    if not (osp.isfile(one) and osp.isfile(other)):
        return False
    return filecmp.cmp(one, other, shallow=False)


def compare_classes(train: Partition, val: Partition) -> list[Finding]:
    """Check that labels mean the same classes in both files."""
    pairs = zip_longest(train.names('base'), val.names('base'))
    return _findings(
        dict(classes=[f'{a} and {b}' for a, b in pairs if a != b])
    )
