"""Train, test and print a table or figure of the paper.

    python tools/reproduce.py --table 3 --data shapes
    python tools/reproduce.py --table 1 --data coco --gpus 8 --seeds 0 1 2
    python tools/reproduce.py --figure 6 --data coco --gpus 8 --dry-run

Every row of the table that has a config on these data is trained and tested
once per seed. Called again, the tool skips finished runs and resumes the
others; rows that two tables share are trained once. WORK_DIR/TABLE_DATA/ has
the table as Markdown, CSV and picture, updated after each run: the paper's
number, the measured mean ± standard deviation over seeds, and the difference.
The results of each run are a small file in the folder --runs; a file with
equal settings counts as a finished run, one with others is left alone. See
docs/reproduce.md.
"""

from __future__ import annotations

import argparse
import logging
import re
from pathlib import Path

import torch

from mmdet_owp import cli
from mmdet_owp.errors import UserError, check_writable
from mmdet_owp.reproduction.figure_runs import FigureRuns
from mmdet_owp.reproduction.jobs import exit_on_interrupt
from mmdet_owp.reproduction.paper_tables import (
    DATA,
    FIG6_STARTS,
    FIG6_THRESHOLDS,
    TABLES,
)
from mmdet_owp.reproduction.planner import Planner
from mmdet_owp.reproduction.table_runs import TableRuns

ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--table', type=int, choices=TABLES)
    what.add_argument('--figure', type=int, choices=[6])
    add('--data', choices=DATA, required=True)
    rows = 'methods of the rows to run, as in the names of configs'
    add('--rows', nargs='+', metavar='METHOD', default=[], help=rows)
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
    runs = 'folder of the files with the results of finished runs'
    add('--runs', default=str(ROOT / 'docs/results/runs'), help=runs)
    add('--amp', action='store_true', help='see tools/train.py')
    add('--channels-last', action='store_true', help='see tools/train.py')
    add('--tta', action='store_true', help='test with several views, too')
    add_figure_arguments(parser)
    dry_run = 'print the commands and an estimate of their time'
    add('--dry-run', action='store_true', help=dry_run)
    report = 'run nothing; write what is finished to a Markdown file, between '
    report += 'the lines <!-- begin report --> and <!-- end report -->'
    add('--report', metavar='FILE', help=report)
    estimate = 'for --dry-run, if no run has been measured yet'
    add('--seconds-per-iter', type=float, help=estimate)
    cli.add_cfg_options(parser, raw=True)
    args = parser.parse_args()
    if args.jobs is None:
        args.jobs = 1 if args.gpus else 2
    if args.jobs < 1 or args.gpus < 0:
        parser.error('--jobs must be at least 1 and --gpus at least 0')
    if args.figure and args.rows:
        parser.error('--rows is for --table')
    grid = args.thresholds, args.starts, args.metrics
    if args.table and grid != (FIG6_THRESHOLDS, FIG6_STARTS, []):
        parser.error('--thresholds, --starts and --metrics are for --figure 6')
    return args


def add_figure_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of --figure 6."""
    add = parser.add_argument_group('--figure 6').add_argument
    above = 'objectness above which background is masked'
    add(
        '--thresholds',
        nargs='+',
        type=float,
        default=FIG6_THRESHOLDS,
        help=above,
    )
    starts = 'of masking, in ninetieths of the training (thousands of the '
    starts += "paper's 90,000 iterations)"
    add('--starts', nargs='+', type=int, default=FIG6_STARTS, help=starts)
    metrics = 'names of metrics of tools/test.py; default: those of the paper'
    add('--metrics', nargs='+', default=[], help=metrics)


def plan(args: argparse.Namespace) -> Planner:
    """Plan the runs of a table or figure."""
    flags = [
        flag
        for flag, is_set in (
            ('--amp', args.amp),
            ('--channels-last', args.channels_last),
        )
        if is_set
    ]
    options = dict(
        gpus=args.gpus,
        seeds=args.seeds,
        cfg_options=args.cfg_options,
        flags=flags,
        tta=args.tta,
        run_files=Path(args.runs),
    )
    where = args.data, ROOT, Path(args.work_dir)
    if args.figure:
        grid = args.thresholds, args.starts, args.metrics
        return FigureRuns(*where, *grid, **options)
    return TableRuns(args.table, *where, args.rows, **options)


def write_report(path: Path, text: str) -> None:
    """Put the report between two lines of a page, or into a new file."""
    begin, end = '<!-- begin report -->\n', '<!-- end report -->\n'
    page = path.read_text(encoding='utf-8') if path.exists() else begin + end
    head, found_begin, rest = page.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not (found_begin and found_end):
        raise UserError(
            f'{path}: needs the lines {begin.strip()} and {end.strip()}, '
            'between which the report is written'
        )
    text = re.sub('^#', '##', text, flags=re.MULTILINE)
    page = f'{head}{begin}{text}\n{end}{tail}'
    path.write_text(page, encoding='utf-8')


def main() -> None:
    """Run what is left, and print the results."""
    args = parse_args()
    logging.disable(logging.INFO)  # mmengine lists every variable it reads
    with cli.report_errors(), exit_on_interrupt():
        planner = plan(args)
        for run in planner.runs:
            if run.note:
                print(f'# {run.note}')
        if args.dry_run:
            print(planner.describe(args.jobs, args.seconds_per_iter))
            return
        check_writable(args.report)
        if args.report:
            for run in planner.runs:
                if run.job.refused:
                    print(f'left out: {run.job.refused}')
            write_report(Path(args.report), planner.report())
            return
        print(planner.run(args.jobs))
        print(f'wrote {planner.folder}')
        print(
            'to see what a run finds and misses: python tools/test.py CONFIG '
            'CHECKPOINT --report FOLDER (docs/report.md)'
        )
        if planner.failures:
            raise UserError(
                f'{len(planner.failures)} of {len(planner.runs)} runs '
                'failed; call again to resume them'
            )


if __name__ == '__main__':
    main()
