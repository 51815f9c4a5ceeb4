"""Plan, run and report the trainings and tests behind a table."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from mmdet_owp.engine.launch import check_data
from mmdet_owp.errors import UserError, writing
from mmdet_owp.reproduction.jobs import Job, run_jobs
from mmdet_owp.reproduction.logs import read_metrics
from mmdet_owp.reproduction.paper_tables import DATA, TABLES, Row
from mmdet_owp.reproduction.training_run import (
    TrainingRun,
    measured_step_time,
    read_settings,
)
from mmdet_owp.shapes.dataset import make_shapes
from mmdet_owp.visualization.comparison import Cell, Comparison

# Validation during training takes minutes and is not reported.
_NO_VALIDATION = ('val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')
# Methods were chosen on the validation images of the built-in data.
_UNSEEN: dict[str, Any] = dict(seed=90210, num_train=1, num_val=1000)


class TableRuns:
    """The runs of one table.

    Args:
        table (int): key of ``TABLES``.
        data (str): key of ``DATA``.
        root (Path): of the repository, with ``configs`` and ``tools``.
        work_dir (Path): folder of all runs and tables.
        gpus (int): GPUs per run; 0 is the CPU. Default 0.
        seeds (Sequence[int]): of the trainings. Default (0,).
        cfg_options (Sequence[str]): KEY=VALUE for every run. Default ().

    Attributes:
        rows (list[tuple[Row, list[TrainingRun]]]): for each row of the table
            one run per seed; none if there is no config.
        runs (list[TrainingRun]): all; first those that others start from.

    Raises:
        UserError: if the GPUs cannot share the images of a step.
    """

    def __init__(
        self,
        table: int,
        data: str,
        root: Path,
        work_dir: Path,
        gpus: int = 0,
        seeds: Sequence[int] = (0,),
        cfg_options: Sequence[str] = (),
    ) -> None:
        self.number, self.table = table, TABLES[table]
        self.data_name, self.data = data, DATA[data]
        self.root, self.work_dir = root, work_dir
        self.gpus, self.seeds = gpus, sorted(set(seeds))
        self.cfg_options = list(cfg_options)
        self.folder = work_dir / f'table{table}_{data}'
        self.failures: dict[str, str] = {}
        self._planned: dict[str, TrainingRun] = {}
        for row in self.table.rows:
            if row.start:
                self._plan_row(Row('', row.start, {}))
        self.rows = [(row, self._plan_row(row)) for row in self.table.rows]
        self.runs = list(self._planned.values())

    def _plan_row(self, row: Row) -> list[TrainingRun]:
        """Plan the runs of a row."""
        name = row.method + self.data.suffix
        config = next(self.root.glob(f'configs/[!_]*/{name}.py'), None)
        if config is None:
            return []
        return [self._plan_run(row, config, seed) for seed in self.seeds]

    def _plan_run(self, row: Row, config: Path, seed: int) -> TrainingRun:
        """Plan a run, or return the one that another row has planned."""
        name, settings = config.stem, [f'randomness.seed={seed}']
        if row.mask_from is not None:
            name += f'_from_{row.mask_from}k'
            settings.append(
                f'model.bbox_head.loss_cls.start_iter={row.mask_from / 90}'
            )
        name += f'_seed{seed}'
        if name not in self._planned:
            is_shapes = self.data_name == 'shapes'
            self._planned[name] = TrainingRun(
                config,
                self.work_dir / name,
                settings + self.cfg_options,
                self.root / 'tools',
                options=_NO_VALIDATION if is_shapes else (),
                gpus=self.gpus,
                start=self._planned.get(
                    f'{row.start}{self.data.suffix}_seed{seed}'
                ),
                environments=tuple(
                    dict(SHAPES=str(folder)) if is_shapes else {}
                    for folder in shapes_folders()
                ),
            )
        return self._planned[name]

    def run(self, num_jobs: int) -> str:
        """Run what is left; write the table after each run that finishes.

        Args:
            num_jobs (int): runs at the same time.

        Returns:
            str: the table in Markdown. ``failures`` has the names of the runs
            that failed and the reasons.

        Raises:
            UserError: if GPUs or data are missing.
            KeyboardInterrupt: on Ctrl-C, once all processes are stopped.
        """
        slots = share_devices(self.gpus, num_jobs)
        if self.runs:
            prepare_data(self.data_name, self.runs[0])
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

        def on_failed(job: Job, reason: str) -> None:
            self.failures[job.folder.name] = reason

        jobs = [run.job for run in self.runs]
        run_jobs(jobs, slots, lambda job: self.write(), on_failed)
        return self.write()

    def write(self) -> str:
        """Write the table so far; return its Markdown."""
        comparison = self.compare()
        failures = self.failures.items()
        notes = self._missing_configs()
        notes += [f'{name} failed: {reason}' for name, reason in failures]
        lines = (f'- {note}' for note in notes)
        text = '\n'.join([comparison.markdown(), *lines])
        (self.folder / 'table.md').write_text(text + '\n', encoding='utf-8')
        comparison.write_csv(self.folder / 'table.csv')
        comparison.draw(self.folder / 'table.png')
        return text

    def compare(self) -> Comparison:
        """Compare what was measured so far with the paper's numbers."""
        names = [self.data.metric(name) for name in self.table.metrics]
        rows = {}
        for row, runs in self.rows:
            results = [
                read_metrics(run.test_folder)
                for run in runs
                if run.job.finished and not run.job.refused
            ]
            rows[row.label] = [
                Cell(
                    row.paper.get(metric),
                    [100 * r[name] for r in results if name in r],
                )
                for metric, name in zip(self.table.metrics, names)
            ]
        note = (
            f'Paper: {self.table.data}; measured: {self.data.on}, '
            f'training seeds {", ".join(map(str, self.seeds))}.'
        )
        if self.table.data != self.data.on:
            note += ' These are other data: the numbers cannot be compared.'
        return Comparison(
            f'Table {self.number}: {self.table.title}',
            note,
            [self.data.title(metric) for metric in self.table.metrics],
            rows,
        )

    def _missing_configs(self) -> list[str]:
        """Describe the rows that have no config on these data."""
        return [
            f'{row.label}: no config {row.method}{self.data.suffix}.py'
            for row, runs in self.rows
            if not runs
        ]

    def describe(
        self, num_jobs: int, seconds_per_iter: float | None = None
    ) -> str:
        """List the commands that are left and estimate their time.

        Args:
            num_jobs (int): runs at the same time.
            seconds_per_iter (float, optional): of a training step, used if
                nothing has been measured.
        """
        seconds, source = self._step_time()
        if seconds is None and seconds_per_iter is not None:
            seconds, source = seconds_per_iter, 'by --seconds-per-iter'
        lines, hours, num_unknown = [], 0.0, 0
        for run in self.runs:
            name, job = run.folder.name, run.job
            if job.refused or job.finished:
                lines.append(f'# {name}: {job.refused or "finished"}')
                continue
            own = measured_step_time(run.folder)
            text, estimate = _estimate(
                run, *((own, 'measured') if own else (seconds, source))
            )
            num_unknown += estimate is None
            hours += estimate or 0.0
            lines.append(f'# {name}: {text}')
            for words, environment in run.commands():
                variables = (f'{k}={v}' for k, v in environment.items())
                lines.append(shlex.join([*variables, *words]))
        lines += [f'# {text}' for text in self._missing_configs()]
        if num_unknown:
            total = (
                f'unknown time; {num_unknown} runs cannot be estimated, see '
                '--seconds-per-iter'
            )
        else:
            gpu_hours = f'{hours * self.gpus:.1f} GPU hours'
            total = (
                f'{hours:.2f} h of training '
                f'({gpu_hours if self.gpus else "on a CPU"}), '
                f'{hours / num_jobs:.2f} h with {num_jobs} side by side; '
                'tests not counted'
            )
        return '\n'.join([*lines, f'# in all: {total}'])

    def _step_time(self) -> tuple[float | None, str]:
        """Find the time of a step that another run on these data measured."""
        pattern = f'*{self.data.suffix}_*/settings.json'
        for path in sorted(self.work_dir.glob(pattern)):
            seconds = measured_step_time(path.parent)
            if seconds and read_settings(path)['gpus'] == self.gpus:
                return seconds, f'measured in {path.parent}'
        return None, ''


def _estimate(
    run: TrainingRun, seconds: float | None, source: str
) -> tuple[str, float | None]:
    """Describe and return the hours of training that a run still needs."""
    if not run.iterations:
        return 'unknown number of iterations, for want of data', None
    left = round(run.iterations * (1 - run.part_done))
    if seconds is None:
        return f'{left} iterations left, unknown time', None
    hours = left * seconds / 3600
    return (
        f'{left} iterations left, {hours:.2f} h at {seconds:.3g} s ({source})',
        hours,
    )


def shapes_folders() -> tuple[Path, Path]:
    """Return the folders of the built-in data for training and for test."""
    folder = Path(os.environ.get('SHAPES', 'data/shapes'))
    return folder, folder.with_name(f'{folder.name}_unseen')


def prepare_data(data: str, run: TrainingRun) -> None:
    """Make the built-in data that a run needs; check other data.

    Raises:
        UserError: if other data are missing.
    """
    if data != 'shapes':
        check_data(run.cfg, 'train', 'test')
        return
    for folder, arguments in zip(shapes_folders(), ({}, _UNSEEN)):
        files = (f'instances_{part}.json' for part in ('train', 'val'))
        if not all((folder / 'annotations' / name).exists() for name in files):
            print(f'drawing {folder}', flush=True)
            make_shapes(folder, **arguments, progress=tqdm)


def share_devices(gpus: int, num_jobs: int) -> list[dict[str, str]]:
    """Return the environment of each of the jobs that run side by side.

    Args:
        gpus (int): GPUs per job; 0 is the CPU, whose cores are shared.
        num_jobs (int): number of jobs.

    Raises:
        UserError: if there are not enough GPUs.
    """
    if not gpus:
        threads = str(max(1, (os.cpu_count() or 1) // num_jobs))
        environment = dict(
            CUDA_VISIBLE_DEVICES='',
            OMP_NUM_THREADS=os.environ.get('OMP_NUM_THREADS', threads),
        )
        return [environment] * num_jobs
    visible = os.environ.get('CUDA_VISIBLE_DEVICES')
    if visible is None:
        visible = ','.join(map(str, range(torch.cuda.device_count())))
    devices = [device for device in visible.split(',') if device]
    if len(devices) < gpus * num_jobs:
        raise UserError(
            f'{num_jobs} runs of {gpus} GPUs need {gpus * num_jobs}, and '
            f'there are {len(devices)}; --gpus 0 is the CPU'
        )
    return [
        dict(CUDA_VISIBLE_DEVICES=','.join(devices[i * gpus : (i + 1) * gpus]))
        for i in range(num_jobs)
    ]
