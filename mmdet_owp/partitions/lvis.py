"""The classes of LVIS v1, read when first needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from mmdet_owp.errors import UserError
from mmdet_owp.partitions.classes import COCO_NON_VOC, COCO_VOC

# Written by tools/dataset_tools/make_lvis_split.py. 'r', 'c' and 'f' (rare,
# common, frequent: 1 to 10, 11 to 100, more training images) map category ids
# to names. 'novel_by_id' and 'novel_by_count' list the last 100 frequent
# classes by ascending id and by descending number of training images.
LVIS_FILE = Path(__file__).with_name('lvis_v1.json')


@lru_cache(None)
def _lists() -> dict:
    return json.loads(LVIS_FILE.read_text(encoding='utf-8'))


@lru_cache(None)
def lvis_classes() -> dict[int, tuple[str, str]]:
    """Return name and frequency by category id, in ascending order."""
    classes = (
        (int(i), (name, frequency))
        for frequency in 'rcf'
        for i, name in _lists()[frequency].items()
    )
    return dict(sorted(classes))


def lvis_sides(
    order: str, partition: str, categories: Sequence[Mapping], source: str
) -> tuple[dict[int, str], dict[int, str]]:
    """Return the base and novel classes of an LVIS v1 file.

    Args:
        order (str): ``'novel_by_id'`` or ``'novel_by_count'``.
        partition (str): name of the partition, for the message.
        categories (list[dict]): of the annotation file ``source``.
        source (str): its path, for the message.

    Raises:
        UserError: if ids, names or frequencies are not those of LVIS v1.
    """
    _check(partition, categories, source)
    names = {i: name for i, (name, _) in lvis_classes().items()}
    novel = {i: names.pop(i) for i in _lists()[order]}
    return names, novel


def _check(partition: str, categories: Sequence[Mapping], source: str) -> None:
    lvis = lvis_classes()
    found = {c['id']: (c['name'], c.get('frequency')) for c in categories}
    if found == lvis:
        return
    names = {name for name, _ in found.values()}
    other = [i for i, what in sorted(found.items()) if lvis.get(i) != what]
    if not other:
        what = f'has only {len(found)} of the {len(lvis)} LVIS v1 categories'
    elif names <= {*COCO_VOC.values(), *COCO_NON_VOC.values()}:
        what = f'has COCO classes ({len(found)} categories)'
    elif len(found) == 1230 and found.get(1, (None,))[0] == 'acorn':
        what = 'is LVIS v0.5 (1230 categories)'
    elif all(frequency is None for _, frequency in found.values()):
        what = f'has no frequency in its {len(found)} categories'
    else:
        what = (
            f'has {len(found)} categories, {len(other)} of them with another '
            f'id, name or frequency than in LVIS v1 (id {other[0]}: '
            f'{" ".join(map(str, found[other[0]]))})'
        )
    raise UserError(
        f'{source} {what}: partition {partition!r} needs an annotation file '
        f'of LVIS v1, such as lvis_v1_val.json, with all {len(lvis)} '
        'categories'
    )
