"""Train, test and print a table of the paper.

    python tools/reproduce.py --table 3 --data shapes
    python tools/reproduce.py --table 1 --data coco --gpus 8 --seeds 0 1 2
    python tools/reproduce.py --table 1 --data coco --gpus 8 --dry-run

Every row of the table that has a config on these data is trained and tested
once per seed. Called again, the tool skips finished runs and resumes the
others; rows that two tables share are trained once. WORK_DIR/TABLE_DATA/ has
the table as Markdown, CSV and picture, updated after each run: the paper's
number, the measured mean ± standard deviation over seeds, and the difference.
See docs/reproduce.md.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from mmdet_owp import cli
from mmdet_owp.errors import UserError
from mmdet_owp.reproduction.jobs import exit_on_interrupt
from mmdet_owp.reproduction.paper_tables import DATA, TABLES
from mmdet_owp.reproduction.table_runs import TableRuns


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    add = parser.add_argument
    add('--table', type=int, choices=TABLES, required=True)
    add('--data', choices=DATA, required=True)
    add(
        '--gpus',
        type=int,
        default=int(torch.cuda.is_available()),
        help='GPUs per run; 0: the CPU. Default: 1 if there is one',
    )
    jobs = 'runs side by side; default: 1 on GPUs, 2 on a CPU'
    add('--jobs', type=int, help=jobs)
    add('--seeds', type=int, nargs='+', default=[0], help='one run each')
    folder = 'folder of all runs and tables'
    add('--work-dir', default='work_dirs/reproduce', help=folder)
    dry_run = 'print the commands and an estimate of their time'
    add('--dry-run', action='store_true', help=dry_run)
    estimate = 'for --dry-run, if no run has been measured yet'
    add('--seconds-per-iter', type=float, help=estimate)
    cli.add_cfg_options(parser, raw=True)
    args = parser.parse_args()
    if args.jobs is None:
        args.jobs = 1 if args.gpus else 2
    if args.jobs < 1 or args.gpus < 0:
        parser.error('--jobs must be at least 1 and --gpus at least 0')
    return args


def main() -> None:
    """Run what is left of a table, and print it."""
    args = parse_args()
    logging.disable(logging.INFO)  # mmengine lists every variable it reads
    with cli.report_errors(), exit_on_interrupt():
        table = TableRuns(
            args.table,
            args.data,
            Path(__file__).resolve().parents[1],
            Path(args.work_dir),
            args.gpus,
            args.seeds,
            args.cfg_options,
        )
        if args.dry_run:
            print(table.describe(args.jobs, args.seconds_per_iter))
            return
        print(table.run(args.jobs))
        print(f'wrote {table.folder}/table.md and table.csv')
        if table.failures:
            raise UserError(
                f'{len(table.failures)} of {len(table.runs)} runs failed; '
                'call again to resume them'
            )


if __name__ == '__main__':
    main()
