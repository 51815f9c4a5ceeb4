"""Print the metrics of several test runs as one table, in percent.

    python tools/analysis_tools/metrics_table.py 'IoU=work_dirs/test_iou' \
        'FCOS=work_dirs/fcos_seed0,work_dirs/fcos_seed1'

Each row is LABEL=FOLDER, the work folder of a tools/test.py run (the newest
one in it counts). Of several folders, such as training seeds, the mean and
the standard deviation are given. ``--columns recipes`` prints those of the
paper's Table 3, ``--columns lvis-id`` (or ``lvis-count``) those of its Tables
2 and 4, of that partition.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmdet_owp.cli import labelled
from mmdet_owp.partitions import LVIS_PARTITIONS
from mmdet_owp.reproduction.logs import read_metrics
from mmdet_owp.tables import markdown_table, percent

PROPOSALS = {
    'base AP (class-wise)': 'base_class-wise/AP',
    'base AR@100': 'base_drop-base/AR@100',
    'novel AR@10 (drop-base)': 'novel_drop-base/AR@10',
    'novel AR@100 (drop-base)': 'novel_drop-base/AR@100',
    'novel AR@10 (exclude-base)': 'novel_exclude-base/AR@10',
    'novel AR@100 (exclude-base)': 'novel_exclude-base/AR@100',
}
# Base: class-wise, of models that classify. Novel: of the proposals.
RECIPES = {
    'base AP': 'base_class-wise/AP',
    'base AR@10': 'base_class-wise/AR@10',
    'base AR@100': 'base_class-wise/AR@100',
    'novel AP': 'novel_drop-base/AP',
    'novel AR@10': 'novel_drop-base/AR@10',
    'novel AR@100': 'novel_drop-base/AR@100',
}


def lvis(partition: str) -> dict[str, str]:
    """Columns of Tables 2 and 4; of base, class-wise is federated."""
    novel = f'{partition}_novel'
    return {
        'base AP': f'{partition}_base_class-wise/AP',
        'base AR@300': f'{partition}_base_class-wise/AR@300',
        'novel AP': f'{novel}_drop-base/AP',
        'novel AR@300 (drop-base)': f'{novel}_drop-base/AR@300',
        'novel AR@300 (exclude-base)': f'{novel}_exclude-base/AR@300',
    }


COLUMNS = dict(
    proposals=PROPOSALS,
    recipes=RECIPES,
    **{name: lvis(name) for name in LVIS_PARTITIONS},
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'rows', nargs='+', type=labelled, metavar='LABEL=FOLDER[,FOLDER...]'
    )
    parser.add_argument('--columns', choices=COLUMNS, default='proposals')
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    args = parse_args()
    columns = COLUMNS[args.columns]
    lines = []
    for label, folders in args.rows:
        try:
            runs = [read_metrics(Path(f)) for f in folders]
        except (OSError, ValueError) as error:
            sys.exit(f'error: {error}')
        lines.append(
            [
                label,
                *(
                    percent([run[key] for run in runs if key in run])
                    for key in columns.values()
                ),
            ]
        )
    print(markdown_table(['', *columns], lines))


if __name__ == '__main__':
    main()
