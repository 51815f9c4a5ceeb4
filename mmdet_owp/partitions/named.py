"""The partitions that have a name.

To add one, put its classes into :mod:`mmdet_owp.partitions.classes` and a
line into the table ``NAMED``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from mmdet_owp.errors import UserError
from mmdet_owp.partitions import classes
from mmdet_owp.partitions.lvis import lvis_sides


def _listed(
    base: Mapping[int, str],
    novel: Mapping[int, str],
    partition: str,
    categories: Sequence[Mapping],
    source: str,
) -> tuple[Mapping[int, str], Mapping[int, str]]:
    """Return two lists of classes; refuse a file that lacks one of them."""
    in_file = {c['id']: c['name'] for c in categories}
    missing = [
        f'{name} (id {i})'
        for i, name in sorted({**base, **novel}.items())
        if in_file.get(i) != name
    ]
    if missing:
        raise UserError(
            f'{source}: partition {partition!r} needs {len(missing)} classes '
            f'that this file does not have under that id: '
            f'{", ".join(missing)}. Use the annotation file the partition is '
            'made for, or give your own base classes as a list.'
        )
    return base, novel


def _all_novel(
    partition: str, categories: Sequence[Mapping], source: str
) -> tuple[dict[int, str], dict[int, str]]:
    """Return no base classes: the data set is not the one trained on."""
    return {}, {c['id']: c['name'] for c in categories}


# Name -> function of (name, categories, source) that returns the base and the
# novel classes by id, or raises UserError for a file that does not have them.
NAMED: dict[str, Callable[..., tuple]] = {
    'voc': partial(_listed, classes.COCO_VOC, classes.COCO_NON_VOC),
    'shapes': partial(_listed, classes.SHAPES_BASE, classes.SHAPES_NOVEL),
    'lvis-id': partial(lvis_sides, 'novel_by_id'),
    'lvis-count': partial(lvis_sides, 'novel_by_count'),
    'all-novel': _all_novel,
}
LVIS_PARTITIONS = tuple(name for name in NAMED if name.startswith('lvis-'))
