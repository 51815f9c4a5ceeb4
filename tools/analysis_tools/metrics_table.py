"""Print the metrics of several test runs as one table, in percent.

    python tools/analysis_tools/metrics_table.py 'IoU=work_dirs/test_iou' \
        'FCOS=work_dirs/fcos_seed0,work_dirs/fcos_seed1'

Each row is LABEL=FOLDER, the work folder of a tools/test.py run (the newest
one in it counts). Of several folders, such as training seeds, the mean and
the standard deviation are given. ``--columns recipes`` prints the columns of
the paper's Table 3, ``--columns lvis-id`` (or ``lvis-count``) those of its
Tables 2 and 4, for that partition.
"""

from __future__ import annotations

import argparse

from mmdet_owp import cli
from mmdet_owp.reproduction.logs import read_metrics
from mmdet_owp.reproduction.paper_tables import COLUMNS
from mmdet_owp.tables import markdown_table, percent


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    metavar = 'LABEL=FOLDER[,FOLDER...]'
    parser.add_argument('rows', nargs='+', type=cli.labelled, metavar=metavar)
    parser.add_argument('--columns', choices=COLUMNS, default='proposals')
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    args = parse_args()
    columns = COLUMNS[args.columns]
    rows = []
    with cli.report_errors():
        for label, folders in args.rows:
            runs = list(map(read_metrics, folders))
            values = (
                [run[key] for run in runs if key in run]
                for key in columns.values()
            )
            rows.append([label, *map(percent, values)])
    print(markdown_table(['', *columns], rows))


if __name__ == '__main__':
    main()
