"""Checks of the records of a COCO file, which every reader shares.

A record that some tool would misread is refused for all of them. What is
left out in the same way by all, objects of unknown images for example, is
reported.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mmdet_owp.recall import AREA_RANGES, as_id

KINDS = ('images', 'categories', 'annotations')
# Numbers of pixels; sums and products of such numbers are exact enough.
MAX_COORDINATE = 1e9
# Evaluation, as that of COCO, counts no object of a larger area.
MAX_AREA = AREA_RANGES['all'][1]
# What only those who open the images need.
OF_FILES = ('file_name', 'coco_url', 'width', 'height')
# Category ids are held in 64-bit arrays.
MAX_CATEGORY = 2**63 - 1


class _Rule(NamedTuple):
    """What the value of a key must be.

    Attributes:
        convert (Callable): returns the value in its usual type; raises
            ValueError, TypeError or OverflowError if it is none.
        wanted (str): what it must be, for messages.
        optional (bool): whether it may be missing or null.
    """

    convert: Callable[[Any], Any]
    wanted: str
    optional: bool = False


def _category_id(value: Any) -> int:
    category_id = as_id(value)
    if abs(category_id) > MAX_CATEGORY:
        raise ValueError
    return category_id


def _ids(values: Any) -> list[int]:
    if type(values) is not list:
        raise TypeError
    return [as_id(value) for value in values]


def _text(value: Any) -> str:
    if type(value) is not str or not value:
        raise ValueError
    return value


def _number(value: Any, low: float, high: float) -> float:
    is_number = isinstance(value, (int, float)) and type(value) is not bool
    if not (is_number and low <= value <= high):
        raise ValueError
    return value


def _side(value: Any) -> float:
    if not _number(value, 0, MAX_COORDINATE):
        raise ValueError
    return value


def _area(value: Any) -> float:
    return _number(value, 0, MAX_AREA)


def _flag(value: Any) -> int:
    if value not in (0, 1):  # True and 1.0 are equal to 1
        raise ValueError
    return int(value)


def _box(box: Any) -> list[float]:
    if type(box) is not list or len(box) != 4:
        raise ValueError
    for value, low in zip(box, (-MAX_COORDINATE, -MAX_COORDINATE, 0, 0)):
        _number(value, low, MAX_COORDINATE)
    _area(box[2] * box[3])
    return box


_ID = _Rule(as_id, 'an integer')
_CATEGORY_ID = _Rule(_category_id, 'an integer of at most 64 bits')
_SIDE = _Rule(_side, 'a number of pixels above 0')
_NAME = _Rule(_text, 'a text')
_FILE_NAME = _Rule(_text, 'a text (on LVIS v1 there is a coco_url)')
_FLAG = _Rule(_flag, '0 or 1', optional=True)
_CATEGORY_IDS = _Rule(_ids, 'a list of category ids', optional=True)
_RULES = {
    'images': dict(
        id=_ID,
        file_name=_FILE_NAME,
        coco_url=_NAME._replace(optional=True),
        width=_SIDE,
        height=_SIDE,
        neg_category_ids=_CATEGORY_IDS,
        not_exhaustive_category_ids=_CATEGORY_IDS,
    ),
    'categories': dict(id=_CATEGORY_ID, name=_NAME),
    'annotations': dict(
        id=_ID,
        image_id=_ID,
        category_id=_CATEGORY_ID,
        bbox=_Rule(
            _box,
            'x, y, width, height: four finite numbers of pixels, the latter '
            'two not negative',
        ),
        area=_Rule(
            _area,
            'a number of pixels from 0 to 1e10; leave it out for width x '
            'height',
            optional=True,
        ),
        iscrowd=_FLAG,
        ignore=_FLAG,
    ),
}


def normalize(
    content: Mapping, path: str, with_files: bool = True
) -> list[str]:
    """Bring the records of a COCO file into their usual types, in place.

    Ids become integers and a missing or null area that of the box.

    Args:
        content (dict): of the file; the lists of :data:`KINDS`.
        path (str): of the file, for messages.
        with_files (bool): whether images need names and sizes.

    Returns:
        list[str]: faults, one text per list and key. Each names the first
        record and the number of them. Empty if all is well.
    """
    faults = [
        fault
        for kind in KINDS
        for fault in _faults_of_kind(kind, content[kind], with_files)
    ]
    if not faults:
        faults = _duplicates(content)
        for a in content['annotations']:
            if a.get('area') is None:
                a['area'] = a['bbox'][2] * a['bbox'][3]
    return [f'{path}: {fault}' for fault in faults]


def _faults_of_kind(kind: str, records: Any, with_files: bool) -> list[str]:
    """Return the faults of one list."""
    if not isinstance(records, list):
        return [f'"{kind}" is not a list']
    wrong = [n for n, r in enumerate(records) if not isinstance(r, dict)]
    if wrong:
        what = f'is {_shown(records[wrong[0]])}, not an object with keys'
        return [f'{kind}[{wrong[0]}] {what}{_count(wrong, records, kind)}']
    if not records and kind != 'annotations':
        return [f'"{kind}" is empty: no {kind}']
    found = []
    for key, rule in _RULES[kind].items():
        if key in OF_FILES and not with_files:
            continue
        wrong = _convert(records, key, rule)
        if wrong:
            found.append(_message(kind, records, wrong, key, rule.wanted))
    return found


def _convert(records: Sequence[dict], key: str, rule: _Rule) -> list[int]:
    """Convert the values of a key; return the indices of wrong ones."""
    wrong = []
    convert, optional = rule.convert, rule.optional
    for n, record in enumerate(records):
        value = record.get(key)
        if value is None:
            # LVIS has URLs of images instead of file names.
            has_url = key == 'file_name' and record.get('coco_url')
            if not (optional or has_url):
                wrong.append(n)
            continue
        try:
            converted = convert(value)
        except (ValueError, TypeError, OverflowError):
            wrong.append(n)
        else:
            if converted is not value:
                record[key] = converted
    return wrong


def _message(
    kind: str, records: Sequence[Mapping], wrong: list[int], key: str, to: str
) -> str:
    record = records[wrong[0]]
    name = ''
    if key != 'id' and record.get('id') is not None:
        name = f' (id {_shown(record["id"])})'
    state = f'is {_shown(record[key])}' if key in record else 'is missing'
    return (
        f'{kind}[{wrong[0]}]{name}: {key} {state}; it must be {to}'
        f'{_count(wrong, records, kind)}'
    )


def _count(wrong: Sequence, records: Sequence, kind: str) -> str:
    if len(wrong) == 1:
        return ''
    return f' ({len(wrong)} of {len(records)} {kind})'


def _shown(value: Any) -> str:
    """Return a value as short text; null as in JSON."""
    if value is None:
        return 'null'
    if isinstance(value, (bool, list, dict)) or type(value) is float:
        text = json.dumps(value)
    else:
        text = repr(value)
    return text if len(text) <= 40 else text[:37] + '...'


def _duplicates(content: Mapping) -> list[str]:
    """Return the faults of ids and names that must be unique."""
    found = []
    for kind, key, remedy in (
        ('images', 'id', 'one would get the boxes of both'),
        ('categories', 'id', 'give each its own'),
        ('categories', 'name', 'rename one of them, or remove it'),
        ('annotations', 'id', 'number them from 1'),
    ):
        records = content[kind]
        first: dict[Hashable, int] = {}
        again = [
            n
            for n, r in enumerate(records)
            if first.setdefault(r[key], n) != n
        ]
        if again:
            value = records[again[0]][key]
            found.append(
                f'{kind}[{first[value]}] and {kind}[{again[0]}] have the same '
                f'{key} {value!r}; {remedy} ({len(again)} of {len(records)} '
                f'{kind} repeat one)'
            )
    return found


def oddities(content: Mapping) -> list[str]:
    """Describe what is legal in a normalized file, but not intended.

    Returns:
        list[str]: objects of unknown images or categories, which training and
        evaluation ignore, and files listed twice; with counts and examples.
    """
    found = []
    annotations = content['annotations']
    for key, kind in (('image_id', 'images'), ('category_id', 'categories')):
        known = {record['id'] for record in content[kind]}
        unknown = Counter(a[key] for a in annotations if a[key] not in known)
        if unknown:
            found.append(
                f'{sum(unknown.values())} of {len(annotations)} objects are '
                f'of {kind} that are not in the file ({key} '
                f'{_examples(unknown)}): they are ignored'
            )
    names = Counter(filter(None, map(image_name, content['images'])))
    twice = {name: n for name, n in names.items() if n > 1}
    if twice:
        found.append(
            f'{sum(twice.values())} of {len(content["images"])} images share '
            f'their file_name with another ({_examples(twice)}): each counts'
        )
    return found


def _examples(values: Iterable) -> str:
    values = list(values)
    return ', '.join(map(str, values[:3])) + ', …' * (len(values) > 3)


def image_name(image: Mapping) -> str:
    """Return the file name of an image, ``''`` if it has none.

    LVIS has URLs; the last folder and the file are its name.
    """
    name, url = image.get('file_name'), image.get('coco_url')
    if name or not url:
        return name or ''
    return '/'.join(url.split('//')[-1].split('/')[1:][-2:])
