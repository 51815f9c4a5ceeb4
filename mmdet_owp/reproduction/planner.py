"""Plan and run the trainings and tests behind a table or a figure."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from mmdet_owp.cores import num_cores
from mmdet_owp.engine.launch import check_data
from mmdet_owp.errors import UserError, writing
from mmdet_owp.reproduction.jobs import Job, run_jobs
from mmdet_owp.reproduction.paper_tables import DATA
from mmdet_owp.reproduction.run_files import write_run_file
from mmdet_owp.reproduction.training_run import (
    Test,
    TrainingRun,
    measured_step_time,
    read_settings,
)
from mmdet_owp.shapes.dataset import make_shapes

# Validation during training takes minutes and is not reported.
_NO_VALIDATION = ('val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')
_SMALL = ('shapes', 'coco-mini')
# Methods were chosen on the validation images of the built-in data.
_UNSEEN: dict[str, Any] = dict(seed=90210, num_train=1, num_val=1000)
MASKING = 'model.bbox_head.loss_cls'


class Planner:
    """Runs of configs on one data set; a subclass says which, and reports.

    Args:
        name (str): of what is made.
        data (str): key of ``DATA``.
        root (Path): of the repository, with ``configs`` and ``tools``.
        work_dir (Path): folder of all runs, tables and figures.
        gpus (int): GPUs per run; 0 is the CPU. Default 0.
        seeds (Sequence[int]): of the trainings. Default (0,).
        cfg_options (Sequence[str]): KEY=VALUE for every run. Default ().
        flags (Sequence[str]): of tools/train.py for every run. Default ().
        tta (bool): also test with several views per image. Default False.
        run_files (Path, optional): folder of the files of finished runs.

    Attributes:
        runs (list[TrainingRun]): to be made; first those that others start
            from.

    Raises:
        UserError: if the GPUs cannot share the images of a step.
    """

    def __init__(
        self,
        name: str,
        data: str,
        root: Path,
        work_dir: Path,
        gpus: int = 0,
        seeds: Sequence[int] = (0,),
        cfg_options: Sequence[str] = (),
        flags: Sequence[str] = (),
        tta: bool = False,
        run_files: Path | None = None,
    ) -> None:
        self.data_name, self.data = data, DATA[data]
        self.root, self.work_dir = root, work_dir
        self.gpus, self.seeds = gpus, sorted(set(seeds))
        self.cfg_options, self.flags = list(cfg_options), tuple(flags)
        self.tta, self.run_files = tta, run_files
        self.folder = work_dir / f'{name}_{data}'
        self.failures: dict[str, str] = {}
        self.runs: list[TrainingRun] = []
        self._planned: dict[str, TrainingRun] = {}

    def find(self, method: str) -> Path | None:
        """Return the config of a method on these data, if there is one."""
        name = method + self.data.suffix
        return next(self.root.glob(f'configs/[!_]*/{name}.py'), None)

    def plan(
        self,
        method: str,
        start: str = '',
        settings: Sequence[str] = (),
        suffix: str = '',
        test: str = 'test',
        options: tuple[str, ...] = (),
    ) -> list[TrainingRun]:
        """Plan a run per seed, or add a test to those planned before.

        Args:
            method (str): the part of a config's name before its data set.
            start (str): method of the run that it starts from, if any.
            settings (Sequence[str]): KEY=VALUE of training and tests.
            suffix (str): of the name of the run, for these settings.
            test (str): name of the test.
            options (tuple[str]): KEY=VALUE of that test.

        Returns:
            list[TrainingRun]: empty if there is no config.
        """
        config = self.find(method)
        if config is None:
            return []
        starts = self.plan(start) if start else []
        runs = []
        for i, seed in enumerate(self.seeds):
            name = f'{config.stem}{suffix}_seed{seed}'
            if name not in self._planned:
                self._planned[name] = self._new_run(
                    config,
                    name,
                    [f'randomness.seed={seed}', *settings],
                    starts[i] if starts else None,
                )
            run = self._planned[name]
            run.tests[test] = Test(options)
            if self.tta:
                run.tests[f'{test}_tta'] = Test(options, True)
            runs.append(run)
        return runs

    def _new_run(
        self,
        config: Path,
        name: str,
        settings: list[str],
        start: TrainingRun | None,
    ) -> TrainingRun:
        """Return a run of a config."""
        folders = ({}, {})
        if self.data_name == 'shapes':
            folders = [dict(SHAPES=str(x)) for x in shapes_folders()]
        folder = self.data_name.replace('-', '_')
        return TrainingRun(
            config,
            self.work_dir / name,
            settings + self.cfg_options,
            self.root / 'tools',
            options=_NO_VALIDATION if self.data_name in _SMALL else (),
            gpus=self.gpus,
            start=start,
            environments=folders,
            flags=self.flags,
            run_file=self.run_files
            and self.run_files / folder / f'{name}.json',
        )

    def choose(self, chosen: Iterable[TrainingRun]) -> None:
        """Make these runs, and those that they start from."""
        chosen = set(chosen)
        for run in chosen:
            if run.start:
                run.start.followers.append(run)
        chosen |= {run.start for run in chosen if run.start}
        self.runs = [r for r in self._planned.values() if r in chosen]

    def run(self, num_jobs: int) -> str:
        """Run what is left; report after each run that finishes.

        Args:
            num_jobs (int): runs at the same time.

        Returns:
            str: the report in Markdown. ``failures`` has the names of the
            runs that failed and the reasons.

        Raises:
            UserError: if GPUs or data are missing.
            KeyboardInterrupt: on Ctrl-C, once all processes are stopped.
        """
        slots = share_devices(self.gpus, num_jobs)
        if not all(run.job.recorded() for run in self.runs):
            prepare_data(self.data_name, self.runs[0])

        def on_failed(job: Job, reason: str) -> None:
            self.failures[job.folder.name] = reason

        jobs = [run.job for run in self.runs]
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        run_jobs(jobs, slots, lambda job: self.report(), on_failed)
        return self.report()

    def report(self) -> str:
        """Write the report and the files of finished runs; return it."""
        for run in self._planned.values():
            finished = run.job.finished and not run.job.refused
            if run.run_file and finished and not run.on_file():
                write_run_file(run.run_file, run.results())
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        failures = self.failures.items()
        notes = self.missing_configs()
        notes += [f'{name} failed: {reason}' for name, reason in failures]
        return '\n'.join([self.write(), *(f'- {note}' for note in notes)])

    def write(self) -> str:
        """Write the pictures and tables so far; return their Markdown."""
        raise NotImplementedError

    def missing_configs(self) -> list[str]:
        """Describe what has no config on these data."""
        raise NotImplementedError

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
        lines += [f'# {text}' for text in self.missing_configs()]
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
        """Find the time of a step that another run on these data measured.

        It had the same number of GPUs and the same flags.
        """
        wanted = self.gpus, list(self.flags)
        pattern = f'*{self.data.suffix}_*/settings.json'
        for path in sorted(self.work_dir.glob(pattern)):
            seconds = measured_step_time(path.parent)
            if not seconds:
                continue
            before = read_settings(path)
            if wanted == (before['gpus'], before['config'].get('flags', [])):
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
        threads = str(max(1, num_cores() // num_jobs))
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
