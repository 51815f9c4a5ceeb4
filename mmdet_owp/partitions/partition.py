"""Which classes are base (trained on) and which are novel (evaluated).

Without torch or mmdet, so that offline tools start quickly. Classes have a
category id *and* a name; both are checked against the annotation file,
because renumbered or missing categories would silently change labels.

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
from mmdet_owp.partitions.named import LVIS_PARTITIONS, NAMED

SPLITS = ('base', 'novel', 'all')

PartitionLike = Union[str, Sequence, Mapping]


class Partition(NamedTuple):
    """Base and novel classes of one data set.

    Attributes:
        name (str): its name in configs and metrics.
        base (dict[int, str]): category id -> class name, in ascending order.
        novel (dict[int, str]): category id -> class name, in ascending order;
            disjoint from ``base``.
    """

    name: str
    base: dict[int, str]
    novel: dict[int, str]

    def categories(self, split: str) -> dict[int, str]:
        """Category id -> class name of a split, in ascending order of id.

        A label is the position in this order. mmdet's ``CocoDataset`` and
        ``CocoMetric`` use the order of the annotation file, which is the same.

        Args:
            split (str): ``'base'``, ``'novel'`` or ``'all'``.

        Raises:
            UserError: for any other split.
        """
        if split not in SPLITS:
            raise UserError(f'split must be one of {SPLITS}, not {split!r}')
        base = {} if split == 'novel' else self.base
        novel = {} if split == 'base' else self.novel
        return _sorted({**base, **novel})

    def names(self, split: str) -> tuple[str, ...]:
        """Class names of a split, in label order."""
        return tuple(self.categories(split).values())

    def prefix(self, split: str) -> str:
        """Prefix of the metric names of a split.

        It is the split, preceded by the partition on LVIS, which has two:
        ``'novel'``, but ``'lvis-id_novel'``.
        """
        if self.name in LVIS_PARTITIONS:
            return f'{self.name}_{split}'
        return split


def resolve_partition(
    partition: PartitionLike, categories: Sequence[Mapping], source: str
) -> Partition:
    """Check a partition against the categories of an annotation file.

    Args:
        partition (str | list | dict): a name (``'voc'``, ``'shapes'``,
            ``'lvis-id'``, ``'lvis-count'``, or ``'all-novel'`` for a data set
            that was not trained on); a list of base classes, by name or
            category id, all other classes of the file being novel; or
            ``dict(base=[...], novel=[...], name='mine')``, where ``novel``
            and ``name`` are optional.
        categories (list[dict]): the ``categories`` of a COCO-format file.
        source (str): path of that file, for the error message.

    Returns:
        Partition: with category ids of this file.

    Raises:
        UserError: if the partition is unknown, has classes that the file does
            not have, or a class on both sides.
    """
    in_file = {int(c['id']): c['name'] for c in categories}
    if isinstance(partition, str):
        if partition not in NAMED:
            raise UserError(
                f'unknown partition {partition!r}: use one of '
                f'{sorted(NAMED)}, or a list of your base classes'
            )
        base, novel = NAMED[partition](partition, categories, source)
        return Partition(partition, _sorted(base), _sorted(novel))

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
        raise UserError(f'a class cannot be base and novel: {", ".join(both)}')
    name = partition.get('name', 'custom')
    return Partition(name, _sorted(base), _sorted(novel))


def _sorted(classes: Mapping[int, str]) -> dict[int, str]:
    return dict(sorted(classes.items()))


def parse_partition(
    text: str | None, categories: Sequence[Mapping], source: str
) -> Partition:
    """Resolve a partition given on a command line.

    Args:
        text (str, optional): a name, or the base classes, by name or category
            id, separated by commas; ``supercategory:NAME`` stands for all
            classes of a supercategory. Default: every class is base.
        categories (list[dict]): see :func:`resolve_partition`.
        source (str): see :func:`resolve_partition`.

    Raises:
        UserError: see :func:`resolve_partition`.
    """
    ids = {str(c['id']): c['id'] for c in categories}
    names = {c['name'] for c in categories}
    if text is None:
        return resolve_partition(list(ids.values()), categories, source)
    base: list[str | int] = []
    for c in text.split(','):
        if c in names:
            base.append(c)
        elif c.startswith('supercategory:'):
            name = c.partition(':')[2]
            base += _of_supercategory(name, categories, source)
        elif c == text and c not in ids:  # no list: a name
            return resolve_partition(text, categories, source)
        else:
            base.append(ids.get(c, c))
    return resolve_partition(base, categories, source)


def _of_supercategory(
    name: str, categories: Sequence[Mapping], source: str
) -> list[int]:
    """Return the ids of the classes of a supercategory."""
    found = [c['id'] for c in categories if c.get('supercategory') == name]
    if not found:
        there = sorted({c.get('supercategory') or '' for c in categories})
        raise UserError(
            f'{source}: no supercategory {name} in this file; it has: '
            f'{", ".join(filter(None, there)) or "none"}'
        )
    return found


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
