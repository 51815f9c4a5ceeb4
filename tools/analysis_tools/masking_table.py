"""Print how much of the background training runs have masked.

    python tools/analysis_tools/masking_table.py \
        'joint + unknown=work_dirs/fcos_iou_cs_is_joint_unknown_shapes'

Each row is LABEL=FOLDER, the work folder of a tools/train.py run of a config
with UnknownMaskFocalLoss. The share is that of all background locations of
the training; nothing masked means that the run says nothing about masking,
and the highest objectness seen on background tells how far it was from it.
"""

from __future__ import annotations

import argparse
import sys

from mmdet_owp.cli import labelled
from mmdet_owp.reproduction.logs import read_masking
from mmdet_owp.tables import markdown_table


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'rows', nargs='+', type=labelled, metavar='LABEL=FOLDER'
    )
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    args = parse_args()
    rows = []
    for label, (folder,) in args.rows:
        try:
            share, seen = read_masking(folder)
        except OSError as error:
            sys.exit(f'error: {error}')
        rows.append(
            [
                label,
                f'{100 * share:.3g}'
                if share
                else 'not tested: nothing was masked',
                f'{seen:.4f}',
            ]
        )
    print(
        markdown_table(
            ['', 'background masked (%)', 'highest objectness on background'],
            rows,
        )
    )


if __name__ == '__main__':
    main()
