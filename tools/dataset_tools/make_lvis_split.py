"""Write the lists of the LVIS v1 partitions, mmdet_owp/partitions/lvis_v1.py.

    python tools/dataset_tools/make_lvis_split.py lvis_v1_train.json

The paper trains on the rare, the common and "the first 305" frequent classes
and evaluates on the other 100. First is by ascending id (``lvis-id``) or by
falling number of training images (``lvis-count``; of equal numbers the lower
id is first). The lists are committed: this tool shows where they come from.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import mmdet_owp

MODULE = Path(mmdet_owp.__file__).parent / 'partitions/lvis_v1.py'
NUM_BASE_FREQUENT = 305
NUM_NOVEL = 100
FREQUENCIES = dict(r='RARE', c='COMMON', f='FREQUENT')
FIELDS = ('id', 'name', 'frequency', 'image_count')
HEADER = '''"""The categories of LVIS v1, and which are novel.

Written by tools/dataset_tools/make_lvis_split.py: change it there.
"""

# Category id -> name, by the frequency that LVIS gives it: in 1 to 10, 11 to
# 100 or more training images.
'''
NOVEL = """
# The last 100 frequent ones, of the order by id and by number of images.
"""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'categories',
        help='LVIS v1 annotation file, or the list of its categories, with '
        'the number of training images of each',
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing, fail if the lists there are others',
    )
    return parser.parse_args()


def read_categories(path: str) -> list[dict]:
    """Read the categories, by ascending id.

    Args:
        path (str): JSON, an annotation file or a list of categories.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: in one line, if it doesn't hold the categories of v1.
    """
    content = json.loads(Path(path).read_text(encoding='utf-8'))
    if isinstance(content, dict):
        content = content.get('categories')
    if not (
        isinstance(content, list)
        and content
        and all(isinstance(c, dict) and set(FIELDS) <= set(c) for c in content)
    ):
        raise ValueError(
            f'categories with {", ".join(FIELDS)} are needed, as an LVIS v1 '
            'annotation file has them'
        )
    frequent = sum(c['frequency'] == 'f' for c in content)
    if frequent != NUM_BASE_FREQUENT + NUM_NOVEL:
        raise ValueError(
            f'of its {len(content)} categories {frequent} are frequent; LVIS '
            f'v1 has 1203, {NUM_BASE_FREQUENT + NUM_NOVEL} of them frequent'
        )
    return sorted(content, key=lambda c: c['id'])


def wrap(items: list[str]) -> str:
    """Join with commas, in lines of 79 characters, indented."""
    lines = ['   ']
    for n, item in enumerate(items):
        item = f' {item}' + (',' if n < len(items) - 1 else '')
        if len(lines[-1] + item) > 79:
            lines.append('   ')
        lines[-1] += item
    return '\n'.join(lines)


def to_module(categories: list[dict]) -> str:
    """Write the lists as Python.

    Args:
        categories (list[dict]): of v1, by ascending id.

    Returns:
        str: content of ``mmdet_owp/partitions/lvis_v1.py``.
    """
    text = HEADER
    for letter, name in FREQUENCIES.items():
        items = [
            f'{c["id"]}: {c["name"]!r}'
            for c in categories
            if c['frequency'] == letter
        ]
        text += f'{name} = {{\n{wrap(items)}\n}}  # fmt: skip\n'
    by_id = [c for c in categories if c['frequency'] == 'f']
    # Stable: of equal counts the lower id stays first.
    by_count = sorted(by_id, key=lambda c: -c['image_count'])
    text += NOVEL
    for name, order in (('BY_ID', by_id), ('BY_COUNT', by_count)):
        novel = sorted(c['id'] for c in order[NUM_BASE_FREQUENT:])
        text += (
            f'NOVEL_{name} = (\n{wrap([str(i) for i in novel])}\n'
            ')  # fmt: skip\n'
        )
    return text


def main() -> None:
    """Write the module, or compare it."""
    args = parse_args()
    try:
        text = to_module(read_categories(args.categories))
    except (OSError, ValueError) as error:
        sys.exit(f'error: {args.categories}: {error}')
    if args.check:
        if text != MODULE.read_text():
            sys.exit(
                f'error: {args.categories} gives other lists than {MODULE}'
            )
        print(f'{MODULE} holds these lists')
        return
    MODULE.write_text(text)
    print(f'written: {MODULE}')


if __name__ == '__main__':
    main()
