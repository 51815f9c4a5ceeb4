"""Which classes are base (trained on) and which are novel (evaluated).

Plain data and functions, without torch or mmdet, so that the offline tools
start at once. A partition names its classes by category id *and* name; both
are checked against the annotation file, because a file whose categories are
renumbered or cut would otherwise change labels silently.

Example:
    >>> categories = [dict(id=1, name='cat'), dict(id=2, name='kite')]
    >>> mine = resolve_partition(['cat'], categories, 'pets.json')
    >>> mine.names('base'), mine.names('novel')
    (('cat',), ('kite',))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Union

from mmdet_owp.errors import UserError
from mmdet_owp.partitions import lvis_v1

SPLITS = ('base', 'novel', 'all')

# The 20 PASCAL VOC classes under COCO's ids and names (paper, section 5).
COCO_VOC = {
    1: 'person', 2: 'bicycle', 3: 'car', 4: 'motorcycle', 5: 'airplane',
    6: 'bus', 7: 'train', 9: 'boat', 16: 'bird', 17: 'cat', 18: 'dog',
    19: 'horse', 20: 'sheep', 21: 'cow', 44: 'bottle', 62: 'chair',
    63: 'couch', 64: 'potted plant', 67: 'dining table', 72: 'tv'
}  # fmt: skip
COCO_NON_VOC = {
    8: 'truck', 10: 'traffic light', 11: 'fire hydrant', 13: 'stop sign',
    14: 'parking meter', 15: 'bench', 22: 'elephant', 23: 'bear', 24: 'zebra',
    25: 'giraffe', 27: 'backpack', 28: 'umbrella', 31: 'handbag', 32: 'tie',
    33: 'suitcase', 34: 'frisbee', 35: 'skis', 36: 'snowboard',
    37: 'sports ball', 38: 'kite', 39: 'baseball bat', 40: 'baseball glove',
    41: 'skateboard', 42: 'surfboard', 43: 'tennis racket', 46: 'wine glass',
    47: 'cup', 48: 'fork', 49: 'knife', 50: 'spoon', 51: 'bowl', 52: 'banana',
    53: 'apple', 54: 'sandwich', 55: 'orange', 56: 'broccoli', 57: 'carrot',
    58: 'hot dog', 59: 'pizza', 60: 'donut', 61: 'cake', 65: 'bed',
    70: 'toilet', 73: 'laptop', 74: 'mouse', 75: 'remote', 76: 'keyboard',
    77: 'cell phone', 78: 'microwave', 79: 'oven', 80: 'toaster', 81: 'sink',
    82: 'refrigerator', 84: 'book', 85: 'clock', 86: 'vase', 87: 'scissors',
    88: 'teddy bear', 89: 'hair drier', 90: 'toothbrush'
}  # fmt: skip

# The families of the built-in data (mmdet_owp/shapes/objects.py).
SHAPES_BASE = {
    1: 'rectangle', 2: 'ellipse', 3: 'triangle', 4: 'ring', 5: 'cross',
    6: 'star', 7: 'crescent', 8: 'hexagon'
}  # fmt: skip
SHAPES_NOVEL = {
    9: 'arrow', 10: 'heart', 11: 'gear', 12: 'l-shape', 13: 'lightning',
    14: 'flower', 15: 'drop', 16: 'horseshoe', 17: 'key', 18: 'bone',
    19: 'fish', 20: 'hourglass', 21: 'spiral', 22: 'pinwheel'
}  # fmt: skip

# LVIS v1: id -> (name, frequency).
LVIS = {
    i: (name, frequency)
    for frequency, classes in (
        ('r', lvis_v1.RARE),
        ('c', lvis_v1.COMMON),
        ('f', lvis_v1.FREQUENT),
    )
    for i, name in classes.items()
}


def _lvis_without(novel: Sequence[int]) -> tuple[dict, dict]:
    names = {i: name for i, (name, _) in sorted(LVIS.items())}
    return (
        {i: name for i, name in names.items() if i not in novel},
        {i: names[i] for i in novel},
    )


# Base and novel classes. Of LVIS the novel ones are the last 100 frequent
# ones: by ascending id or by falling number of images.
_NAMED = {
    'voc': (COCO_VOC, COCO_NON_VOC),
    'shapes': (SHAPES_BASE, SHAPES_NOVEL),
    'lvis-id': _lvis_without(lvis_v1.NOVEL_BY_ID),
    'lvis-count': _lvis_without(lvis_v1.NOVEL_BY_COUNT),
}
LVIS_PARTITIONS = ('lvis-id', 'lvis-count')
# Of another data set than the one trained on.
ALL_NOVEL = 'all-novel'
# What stands before a supercategory on a command line.
_SUPERCATEGORY = 'supercategory:'

PartitionLike = Union[str, Sequence, Mapping]


class Partition(NamedTuple):
    """Base and novel classes of one data set.

    Attributes:
        name (str): what configs and metric names call it.
        base (dict[int, str]): category id -> class name, ascending ids.
        novel (dict[int, str]): likewise; disjoint from ``base``.
    """

    name: str
    base: dict[int, str]
    novel: dict[int, str]

    def categories(self, split: str) -> dict[int, str]:
        """Category id -> class name of a split, in ascending id.

        Labels are the positions in this order; mmdet's ``CocoDataset`` and
        ``CocoMetric`` order them by the annotation file, which is the same.

        Args:
            split (str): ``'base'``, ``'novel'`` or ``'all'``.

        Raises:
            ValueError: for any other split.
        """
        if split not in SPLITS:
            raise UserError(f'split must be one of {SPLITS}, not {split!r}')
        chosen = {
            'base': self.base,
            'novel': self.novel,
            'all': {**self.base, **self.novel},
        }[split]
        return dict(sorted(chosen.items()))

    def names(self, split: str) -> tuple[str, ...]:
        """Class names of a split, in label order."""
        return tuple(self.categories(split).values())

    def prefix(self, split: str) -> str:
        """What the names of a split's metrics start with.

        The split, after the partition where its data set has several, whose
        numbers nobody should mix: ``'novel'``, but ``'lvis-id_novel'``.
        """
        if self.name in LVIS_PARTITIONS:
            return f'{self.name}_{split}'
        return split


def resolve_partition(
    partition: PartitionLike, categories: Sequence[Mapping], source: str
) -> Partition:
    """Check a partition against the categories of an annotation file.

    Args:
        partition (str | list | dict): a known name (``'voc'``, ``'shapes'``,
            ``'lvis-id'``, ``'lvis-count'``); ``'all-novel'``, where no class
            of the file was trained on; a list of base classes, by name or
            category id, all other classes of the file being novel; or
            ``dict(base=[...], novel=[...], name='mine')``, where ``novel``
            and ``name`` may be left out.
        categories (list[dict]): the ``categories`` of a COCO-format file.
        source (str): path of that file, for the error message.

    Returns:
        Partition: with category ids of this file.

    Raises:
        ValueError: in one line, if the partition is unknown, is not made of
            the file's classes, or has a class on both sides.
    """
    in_file = {int(c['id']): c['name'] for c in categories}
    if partition == ALL_NOVEL:
        return Partition(ALL_NOVEL, {}, dict(sorted(in_file.items())))
    if isinstance(partition, str):
        if partition not in _NAMED:
            raise UserError(
                f'unknown partition {partition!r}: use one of '
                f'{sorted([*_NAMED, ALL_NOVEL])}, or a list of your base '
                'classes'
            )
        base, novel = _NAMED[partition]
        if partition in LVIS_PARTITIONS:
            _check_lvis(partition, categories, source)
            return Partition(partition, dict(base), dict(novel))
        expected = {**base, **novel}
        wrong = [
            f'{name} (id {i})'
            for i, name in sorted(expected.items())
            if in_file.get(i) != name
        ]
        if wrong:
            raise UserError(
                f'{source}: partition {partition!r} needs {len(wrong)} '
                f'classes that this file does not have under that id: '
                f'{", ".join(wrong)}. Use the annotation file the partition '
                'is made for, or give your own base classes as a list.'
            )
        return Partition(partition, dict(base), dict(novel))

    if not isinstance(partition, Mapping):
        partition = dict(base=partition)
    unknown_keys = set(partition) - {'name', 'base', 'novel'}
    if unknown_keys or not partition.get('base'):
        raise UserError(
            'a partition is a name, a list of base classes, or dict(base=[…], '
            f'novel=[…], name=…), not {dict(partition)!r}'
        )
    base = _look_up(partition['base'], in_file, source)
    if partition.get('novel') is None:
        novel = {i: name for i, name in in_file.items() if i not in base}
    else:
        novel = _look_up(partition['novel'], in_file, source)
    both = sorted(name for i, name in base.items() if i in novel)
    if both:
        raise UserError(
            f'a class cannot be base and novel: {", ".join(both)}'
        )
    return Partition(
        partition.get('name', 'custom'),
        dict(sorted(base.items())),
        dict(sorted(novel.items())),
    )


def parse_partition(
    text: str | None, categories: Sequence[Mapping], source: str
) -> Partition:
    """Find the partition that a command line names.

    Args:
        text (str, optional): a known name, or the base classes, by name or
            category id, with commas between; ``supercategory:NAME`` stands
            for all classes of one. None makes every class base.
        categories (list[dict]): as in :func:`resolve_partition`.
        source (str): likewise.

    Raises:
        ValueError: likewise.
    """
    ids = {str(c['id']): c['id'] for c in categories}
    names = {c['name'] for c in categories}
    if text is None:
        return resolve_partition(list(ids.values()), categories, source)
    classes = text.split(',')
    if (
        len(classes) == 1
        and text not in names
        and text not in ids
        and not text.startswith(_SUPERCATEGORY)
    ):
        return resolve_partition(text, categories, source)
    base = []
    for c in classes:
        if c in names or not c.startswith(_SUPERCATEGORY):
            base.append(c if c in names else ids.get(c, c))
        else:
            base += _of_supercategory(
                c.removeprefix(_SUPERCATEGORY), categories, source
            )
    return resolve_partition(base, categories, source)


def _of_supercategory(
    name: str, categories: Sequence[Mapping], source: str
) -> list[int]:
    """Find the ids of the classes of a supercategory."""
    found = [c['id'] for c in categories if c.get('supercategory') == name]
    if not found:
        there = sorted({c.get('supercategory') or '' for c in categories})
        raise UserError(
            f'{source}: no supercategory {name} in this file; it has: '
            f'{", ".join(filter(None, there)) or "none"}'
        )
    return found


def _check_lvis(
    partition: str, categories: Sequence[Mapping], source: str
) -> None:
    """Check that ids, names and frequencies are those of LVIS v1."""
    found = {c['id']: (c['name'], c.get('frequency')) for c in categories}
    if found == LVIS:
        return
    names = {name for name, _ in found.values()}
    other = [i for i, what in sorted(found.items()) if LVIS.get(i) != what]
    if not other:
        what = f'is LVIS v1 cut short ({len(found)} of {len(LVIS)} categories)'
    elif names <= {*COCO_VOC.values(), *COCO_NON_VOC.values()}:
        what = f'has COCO classes ({len(found)} categories)'
    elif len(found) == 1230 and found.get(1, (None,))[0] == 'acorn':
        what = 'is LVIS v0.5 (1230 categories)'
    elif all(frequency is None for _, frequency in found.values()):
        what = f'has no frequency in its {len(found)} categories'
    else:
        what = (
            f'has {len(found)} categories, {len(other)} of another id, '
            f'name or frequency than in LVIS v1 (id {other[0]}: '
            f'{" ".join(map(str, found[other[0]]))})'
        )
    raise UserError(
        f'{source} {what}: partition {partition!r} needs an annotation file '
        f'of LVIS v1, such as lvis_v1_val.json, with all {len(LVIS)} '
        'categories'
    )


def _look_up(
    classes: Sequence, in_file: Mapping[int, str], source: str
) -> dict[int, str]:
    """Map class names or category ids to ``{id: name}`` of the file."""
    ids = {name: i for i, name in in_file.items()}
    missing = [str(c) for c in classes if c not in ids and c not in in_file]
    if missing:
        raise UserError(
            f'{source}: no class named {", ".join(missing)} in this file; '
            f'it has: {", ".join(in_file.values())}'
        )
    found = (c if c in in_file else ids[c] for c in classes)
    return {i: in_file[i] for i in found}
