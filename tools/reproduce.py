"""Train, test and print a table of the paper.

    python tools/reproduce.py --table 3 --data shapes
    python tools/reproduce.py --table 1 --data coco --gpus 8 --seeds 0 1 2
    python tools/reproduce.py --table 1 --data coco --gpus 8 --dry-run

Every row of the table whose config there is on these data is trained and
tested, once a seed. Called again, it skips what is finished and resumes what
isn't; rows that two tables share are trained once. WORK_DIR/TABLE_DATA/ has
the table as Markdown, CSV and picture, renewed with each run that ends: the
paper's number, the measured mean ± standard deviation over seeds, and the
difference. docs/reproduce.md tells the rest.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import sys
from pathlib import Path

import torch
from tqdm import tqdm

from mmdet_owp.engine.launch import check_data
from mmdet_owp.reproduction.jobs import Job, add_cfg_options, run_jobs
from mmdet_owp.reproduction.logs import read_metrics
from mmdet_owp.reproduction.paper_tables import DATA, TABLES, Row
from mmdet_owp.reproduction.training_run import TrainingRun, measured_step_time
from mmdet_owp.shapes.dataset import make_shapes
from mmdet_owp.visualization.comparison import Cell, Comparison

ROOT = Path(__file__).resolve().parents[1]
# Validation while it trains costs minutes and is shown nowhere.
NO_VALIDATION = ('val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')
# Methods were chosen on the validation images of the built-in data.
UNSEEN = dict(seed=90210, num_train=1, num_val=1000)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--table', type=int, choices=TABLES, required=True)
    parser.add_argument('--data', choices=DATA, required=True)
    parser.add_argument(
        '--gpus',
        type=int,
        default=int(torch.cuda.is_available()),
        help='of each run; 0: the CPU. Default: 1 where there is one',
    )
    parser.add_argument(
        '--jobs',
        type=int,
        help='runs side by side; default: 1 on GPUs, 2 on a CPU',
    )
    parser.add_argument(
        '--seeds', type=int, nargs='+', default=[0], help='default: 0'
    )
    parser.add_argument(
        '--work-dir',
        default='work_dirs/reproduce',
        help='folder of all runs and tables; default: work_dirs/reproduce',
    )
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='print the commands and how long they will take',
    )
    parser.add_argument(
        '--seconds-per-iter',
        type=float,
        help='for --dry-run, where no run has been measured yet',
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.jobs is None:
        args.jobs = 1 if args.gpus else 2
    if args.jobs < 1 or args.gpus < 0:
        parser.error('--jobs must be at least 1 and --gpus at least 0')
    args.seeds = sorted(set(args.seeds))
    return args


def shapes_folders() -> tuple[Path, Path]:
    """Folders of the built-in data: to train on, and not looked at before."""
    folder = Path(os.environ.get('SHAPES', 'data/shapes'))
    return folder, folder.with_name(f'{folder.name}_unseen')


def prepare_data(data: str, run: TrainingRun) -> None:
    """Draw the built-in data where they are absent; check others.

    Args:
        data (str): key of ``DATA``.
        run (TrainingRun): that reads them.

    Raises:
        FileNotFoundError: in one line, where others are missing.
    """
    if data != 'shapes':
        check_data(run.cfg, 'train', 'test')
        return
    for folder, arguments in zip(shapes_folders(), ({}, UNSEEN)):
        if not all(
            (folder / f'annotations/instances_{name}.json').exists()
            for name in ('train', 'val')
        ):
            print(f'drawing {folder}', flush=True)
            make_shapes(folder, **arguments, progress=tqdm)


def slots(gpus: int, jobs: int) -> list[dict[str, str]]:
    """Share out the machine: one environment for each job side by side.

    Args:
        gpus (int): of each.
        jobs (int): how many.

    Raises:
        ValueError: in one line, if there are not enough GPUs.
    """
    if not gpus:
        threads = max(1, (os.cpu_count() or 1) // jobs)
        return [
            dict(
                CUDA_VISIBLE_DEVICES='',
                OMP_NUM_THREADS=os.environ.get(
                    'OMP_NUM_THREADS', str(threads)
                ),
            )
        ] * jobs
    devices = (
        [str(i) for i in range(torch.cuda.device_count())]
        if 'CUDA_VISIBLE_DEVICES' not in os.environ
        else os.environ['CUDA_VISIBLE_DEVICES'].split(',')
    )
    if len(devices) < gpus * jobs:
        raise ValueError(
            f'{jobs} runs of {gpus} GPUs need {gpus * jobs}, and '
            f'there are {len(devices)}; --gpus 0 is the CPU'
        )
    return [
        dict(CUDA_VISIBLE_DEVICES=','.join(devices[i * gpus : (i + 1) * gpus]))
        for i in range(jobs)
    ]


class Plan:
    """The runs of one table.

    Args:
        args (argparse.Namespace): as :func:`parse_args` returns them.

    Attributes:
        rows (list[tuple[Row, list[TrainingRun]]]): of each row of the table
            its runs, one a seed; none where there is no config.
        runs (list[TrainingRun]): all; first those that others start from.

    Raises:
        ValueError: in one line, for a number of GPUs that does not fit.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.table, self.data = TABLES[args.table], DATA[args.data]
        self.planned: dict[str, TrainingRun] = {}
        for row in self.table.rows:
            if row.start:
                self.plan_row(Row('', row.start, {}))
        self.rows = [(row, self.plan_row(row)) for row in self.table.rows]
        self.runs = list(self.planned.values())

    def plan_row(self, row: Row) -> list[TrainingRun]:
        """Plan the runs of a row."""
        name = row.method + self.data.suffix
        config = next(ROOT.glob(f'configs/[!_]*/{name}.py'), None)
        if config is None:
            return []
        return [self.plan_run(row, config, seed) for seed in self.args.seeds]

    def plan_run(self, row: Row, config: Path, seed: int) -> TrainingRun:
        """Plan one run, once, whichever rows ask for it."""
        name, settings = config.stem, [f'randomness.seed={seed}']
        if row.mask_from is not None:
            name += f'_from_{row.mask_from}k'
            settings.append(
                f'model.bbox_head.loss_cls.start_iter={row.mask_from / 90}'
            )
        name += f'_seed{seed}'
        if name not in self.planned:
            shapes = self.args.data == 'shapes'
            self.planned[name] = TrainingRun(
                config,
                Path(self.args.work_dir) / name,
                settings + self.args.cfg_options,
                ROOT / 'tools',
                options=NO_VALIDATION if shapes else (),
                gpus=self.args.gpus,
                start=self.planned.get(
                    f'{row.start}{self.data.suffix}_seed{seed}'
                ),
                environments=tuple(
                    dict(SHAPES=str(folder)) if shapes else {}
                    for folder in shapes_folders()
                ),
            )
        return self.planned[name]

    def step_time(self) -> tuple[float | None, str]:
        """Time of a training step on these data, and where it is from."""
        for path in sorted(
            Path(self.args.work_dir).glob(
                f'*{self.data.suffix}_*/settings.json'
            )
        ):
            seconds = measured_step_time(path.parent)
            gpus = json.loads(path.read_text())['gpus']
            if seconds and gpus == self.args.gpus:
                return seconds, f'measured in {path.parent}'
        return self.args.seconds_per_iter, 'by --seconds-per-iter'

    def show(self) -> None:
        """Print the commands that are left, and how long they will take."""
        of_others, total = self.step_time(), []
        for run in self.runs:
            name, job = run.folder.name, run.job
            if job.refused or job.finished:
                print(f'# {name}: {job.refused or "finished"}')
                continue
            own = measured_step_time(run.folder)
            seconds, source = (own, 'measured') if own else of_others
            if not run.iterations:
                estimate = 'unknown number of iterations, for want of data'
            else:
                left = round(run.iterations * (1 - run.part_done))
                estimate = f'{left} iterations left, unknown time'
                if seconds is not None:
                    total.append(left * seconds / 3600)
                    estimate = (
                        f'{left} iterations left, {total[-1]:.2f} h '
                        f'at {seconds:.3g} s ({source})'
                    )
            print(f'# {name}: {estimate}')
            for command in run.commands():
                settings = (
                    f'{key}={value}'
                    for key, value in command.environment.items()
                )
                print(shlex.join([*settings, *command.words]))
        for row, runs in self.rows:
            if not runs:
                print(
                    f'# {row.label}: no config {row.method}'
                    f'{self.data.suffix}.py'
                )
        self.show_total(total)

    def show_total(self, hours: list[float]) -> None:
        """Print the sum of the estimates."""
        missing = len(
            [
                run
                for run in self.runs
                if not (run.job.finished or run.job.refused)
            ]
        ) - len(hours)
        if missing:
            print(
                f'# in all: unknown time; {missing} runs cannot be '
                'estimated, see --seconds-per-iter'
            )
            return
        gpus, jobs = self.args.gpus, self.args.jobs
        cost = f'{sum(hours) * gpus:.1f} GPU hours' if gpus else 'on a CPU'
        print(
            f'# in all: {sum(hours):.2f} h of training ({cost}), '
            f'{sum(hours) / jobs:.2f} h with {jobs} side by side; tests not '
            'counted'
        )

    def compare(self) -> Comparison:
        """Put what was measured so far beside the paper's numbers."""
        rows = {}
        for row, runs in self.rows:
            found = [
                read_metrics(run.test_folder)
                for run in runs
                if run.job.finished and not run.job.refused
            ]
            rows[row.label] = [
                Cell(
                    row.paper.get(metric),
                    [
                        100 * metrics[self.data.metric(metric)]
                        for metrics in found
                        if self.data.metric(metric) in metrics
                    ],
                )
                for metric in self.table.metrics
            ]
        seeds = ', '.join(map(str, self.args.seeds))
        note = (
            f'Paper: {self.table.data}; measured: {self.data.on}, '
            f'training seeds {seeds}.'
        )
        if self.table.data != self.data.on:
            note += ' These are other data: the numbers cannot be compared.'
        title = f'Table {self.args.table}: {self.table.title}'
        return Comparison(
            title,
            note,
            [self.data.title(metric) for metric in self.table.metrics],
            rows,
        )

    def write(self, problems: dict[str, str]) -> str:
        """Write the table's files; returns the Markdown.

        Args:
            problems (dict[str, str]): of the runs that failed.
        """
        comparison = self.compare()
        lines = [comparison.markdown()]
        for row, runs in self.rows:
            if not runs:
                lines.append(
                    f'- {row.label}: no config {row.method}'
                    f'{self.data.suffix}.py'
                )
        lines += [f'- {name} failed: {why}' for name, why in problems.items()]
        text = '\n'.join(lines)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / 'table.md').write_text(text + '\n')
        comparison.write_csv(self.folder / 'table.csv')
        comparison.draw(self.folder / 'table.png')
        return text

    @property
    def folder(self) -> Path:
        """Of the table."""
        return (
            Path(self.args.work_dir)
            / f'table{self.args.table}_{self.args.data}'
        )


def main() -> None:
    """Run what is left of a table, and print it."""
    args = parse_args()
    logging.disable(logging.INFO)  # mmengine names every variable it reads
    problems: dict[str, str] = {}
    try:
        plan = Plan(args)
        if args.dry_run:
            plan.show()
            return
        places = slots(args.gpus, args.jobs)
        prepare_data(args.data, plan.runs[0])
    except (ValueError, OSError) as error:
        sys.exit(f'error: {error}')

    def note(job: Job, why: str) -> None:
        problems[job.folder.name] = why

    try:
        run_jobs(
            [run.job for run in plan.runs],
            places,
            lambda job: plan.write(problems),
            note,
        )
    except KeyboardInterrupt:
        print('stopped; the same command goes on', file=sys.stderr)
        sys.exit(130)
    print(plan.write(problems))
    print(f'wrote {plan.folder}/table.md and table.csv')
    if problems:
        sys.exit(
            f'error: {len(problems)} of {len(plan.runs)} runs failed; '
            'call again to resume them'
        )


if __name__ == '__main__':
    main()
