"""Write the LVIS v1 class lists, mmdet_owp/partitions/lvis_v1.json.

    python tools/dataset_tools/make_lvis_split.py lvis_v1_train.json

The paper trains on the rare, the common and "the first 305" frequent classes
and evaluates on the other 100. First is by ascending id (``lvis-id``) or by
descending number of training images (``lvis-count``; at equal numbers the
lower id comes first). The lists are committed; this tool documents how they
were made.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mmdet_owp import cli
from mmdet_owp.errors import UserError
from mmdet_owp.partitions.lvis import LVIS_FILE

NUM_BASE_FREQUENT = 305
NUM_NOVEL = 100
FIELDS = ('id', 'name', 'frequency', 'image_count')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        'categories',
        help='LVIS v1 annotation file, or the list of its categories, with '
        'the number of training images of each',
    )
    check = 'write nothing; fail if the committed lists differ'
    parser.add_argument('--check', action='store_true', help=check)
    return parser.parse_args()


def read_categories(path: str) -> list[dict]:
    """Read the categories, in ascending order of id."""
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(f'{path}: {error}') from error
    if isinstance(content, dict):
        content = content.get('categories')
    if not (
        isinstance(content, list)
        and content
        and all(isinstance(c, dict) and set(FIELDS) <= set(c) for c in content)
    ):
        raise UserError(
            f'{path}: categories with {", ".join(FIELDS)} are needed, as in '
            'an LVIS v1 annotation file'
        )
    frequent = sum(c['frequency'] == 'f' for c in content)
    if frequent != NUM_BASE_FREQUENT + NUM_NOVEL:
        raise UserError(
            f'{path}: of its {len(content)} categories {frequent} are '
            f'frequent; LVIS v1 has 1203, '
            f'{NUM_BASE_FREQUENT + NUM_NOVEL} of them frequent'
        )
    return sorted(content, key=lambda c: c['id'])


def to_json(categories: list[dict]) -> str:
    """Return the content of ``lvis_v1.json``, one key per line."""
    lists = {
        f: {c['id']: c['name'] for c in categories if c['frequency'] == f}
        for f in 'rcf'
    }
    by_id = [c for c in categories if c['frequency'] == 'f']
    # Stable: at equal counts the lower id stays first.
    by_count = sorted(by_id, key=lambda c: -c['image_count'])
    for name, order in (('by_id', by_id), ('by_count', by_count)):
        novel = order[NUM_BASE_FREQUENT:]
        lists[f'novel_{name}'] = sorted(c['id'] for c in novel)
    lines = (f'"{key}": {json.dumps(value)}' for key, value in lists.items())
    return '{\n' + ',\n'.join(lines) + '\n}\n'


def main() -> None:
    """Write the lists, or compare them."""
    args = parse_args()
    text = to_json(read_categories(args.categories))
    if not args.check:
        LVIS_FILE.write_text(text, encoding='utf-8')
        print(f'written: {LVIS_FILE}')
    elif text == LVIS_FILE.read_text(encoding='utf-8'):
        print(f'{LVIS_FILE} holds these lists')
    else:
        raise UserError(
            f'{args.categories} gives other lists than {LVIS_FILE}'
        )


if __name__ == '__main__':
    with cli.report_errors():
        main()
