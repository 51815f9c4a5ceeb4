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
import csv
import functools
import json
import math
import os
import shlex
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import matplotlib
import torch
from mmengine.config import Config, DictAction
from tqdm import tqdm

from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.datasets.shapes import make_shapes
from mmdet_owp.engine.jobs import Command, Job, run_jobs
from mmdet_owp.engine.launch import check_data
from mmdet_owp.engine.logs import (
    cell,
    markdown_table,
    read_metrics,
    read_scalars,
)
from mmdet_owp.paper_tables import DATA, TABLES, DataSet, Row, Table
from mmdet_owp.partitions import resolve_partition

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
# Validation while it trains would cost minutes and is shown nowhere.
NO_VALIDATION = ('val_cfg=None', 'val_dataloader=None', 'val_evaluator=None')
# Recipes and cues were chosen on the validation images of the built-in data.
UNSEEN = dict(seed=90210, num_train=1, num_val=1000)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--table', type=int, choices=TABLES, required=True)
    parser.add_argument('--data', choices=DATA, required=True)
    parser.add_argument(
        '--gpus',
        type=int,
        default=int(torch.cuda.is_available()),
        help='of each run; 0: the CPU. Default: 1 where there is one')
    parser.add_argument(
        '--jobs',
        type=int,
        help='runs side by side; default: 1 on GPUs, 2 on a CPU')
    parser.add_argument(
        '--seeds', type=int, nargs='+', default=[0], help='default: 0')
    parser.add_argument(
        '--work-dir',
        default='work_dirs/reproduce',
        help='folder of all runs and tables; default: work_dirs/reproduce')
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='print the commands and how long they will take')
    parser.add_argument(
        '--seconds-per-iter',
        type=float,
        help='for --dry-run, where no run has been measured yet')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='further settings of every run, as tools/train.py takes them')
    args = parser.parse_args()
    if args.jobs is None:
        args.jobs = 1 if args.gpus else 2
    if args.jobs < 1 or args.gpus < 0:
        parser.error('--jobs must be at least 1 and --gpus at least 0')
    args.seeds = sorted(set(args.seeds))
    return args


def short(path: Path) -> str:
    """Write a path from the current folder, if it is in there."""
    return str(path.relative_to(Path.cwd()) if path.
               is_relative_to(Path.cwd()) else path)


def merged(config: Path, options: list[str]) -> Config:
    """Read a config and apply KEY=VALUE to it, as tools/train.py does."""
    parser = argparse.ArgumentParser()
    parser.add_argument('options', nargs='*', action=DictAction)
    cfg = Config.fromfile(config, import_custom_modules=False)
    cfg.merge_from_dict(parser.parse_args(options).options)
    return cfg


@functools.lru_cache
def count_images(ann_file: str, partition: str, split: str) -> int | None:
    """Count the images that have a box of a split; None without the file."""
    if not os.path.isfile(ann_file):
        return None
    content = read_coco(ann_file)
    classes = resolve_partition(partition, content['categories'],
                                ann_file).categories(split)
    return len({
        box['image_id']
        for box in content['annotations']
        if box['category_id'] in classes and not box.get('iscrowd')
    })


@dataclass(eq=False)
class Run:
    """One training and its test.

    Attributes:
        config (Path): file.
        folder (Path): of its checkpoints, logs and metrics.
        settings (list[str]): KEY=VALUE that make its results.
        options (list[str]): further ones, that don't.
        gpus (int): it trains on; 0 means a CPU.
        start (Run, optional): that it starts from.
    """
    config: Path
    folder: Path
    settings: list[str]
    options: list[str]
    gpus: int
    start: Run | None
    job: Job | None = None

    def __post_init__(self) -> None:
        cfg = merged(self.config, self.settings)
        # As JSON has it: without tuples.
        self.record = json.loads(json.dumps(cfg.to_dict(), default=str))
        batch = cfg.get('auto_scale_lr', {}).get('base_batch_size')
        processes = max(self.gpus, 1)
        if batch and 'train_dataloader.batch_size' not in str(self.settings):
            # Rate and schedule are made for it.
            if batch % processes:
                raise ValueError(
                    f'--gpus {self.gpus}: {short(self.config)} trains on '
                    f'{batch} images a step, which must be divisible by it')
            if batch != processes * cfg.train_dataloader.batch_size:
                self.options.append(
                    f'train_dataloader.batch_size={batch // processes}')
        cfg = merged(self.config, [*self.options, *self.settings])
        self.last = cfg.train_cfg.get('max_iters')
        if self.last:
            self.iterations, self.unit = self.last, 'iter'
        else:
            self.last, self.unit = cfg.train_cfg.max_epochs, 'epoch'
            data = cfg.train_dataloader.dataset
            images = count_images(
                os.path.join(data.data_root, data.ann_file), data.partition,
                data.split)
            self.iterations = images and self.last * math.ceil(
                images / processes / cfg.train_dataloader.batch_size)
        self.cfg = cfg
        self.job = Job(
            self.folder,
            self.start_commands,
            lambda: any(self.test_folder.glob('[0-9]*/[0-9]*.json')),
            self.start and self.start.job,
            self.progress,
            refused=self.conflict())

    @property
    def checkpoint(self) -> Path:
        """Its last checkpoint."""
        return self.folder / f'{self.unit}_{self.last}.pth'

    @property
    def test_folder(self) -> Path:
        """The work folder of its test."""
        return self.folder / 'test'

    @property
    def done(self) -> float:
        """Part of the training up to its newest checkpoint."""
        try:
            name = (self.folder / 'last_checkpoint').read_text()
        except FileNotFoundError:
            return 0.
        return int(Path(name.strip()).stem.split('_')[1]) / self.last

    def conflict(self) -> str:
        """Tell which setting differs from what is in the folder, if any."""
        path = self.folder / 'settings.json'
        if not path.exists():
            return ''
        before = json.loads(path.read_text())['config']
        changed = difference(before, self.record)
        return changed and (
            f'{short(path.parent)} was trained with other settings '
            f'({changed}); remove it, or give another --work-dir')

    def start_commands(self) -> list[Command]:
        """Note the settings; return the commands that are left."""
        (self.folder / 'settings.json').write_text(
            json.dumps(dict(gpus=self.gpus, config=self.record), indent=1))
        return self.commands()

    def commands(self) -> list[Command]:
        """Return the commands that are left to do."""
        test = self.command('test', short(self.checkpoint), self.test_folder,
                            self.settings)
        if self.done >= 1:
            return [test]
        options = [*self.options, *self.settings]
        if self.start:
            options.insert(0, f'load_from={short(self.start.checkpoint)}')
        return [self.command('train', None, self.folder, options), test]

    def command(self, tool: str, checkpoint: str | None, work_dir: Path,
                options: list[str]) -> Command:
        """Call tools/train.py or tools/test.py, in one process or several."""
        words = [short(self.config), *([checkpoint] if checkpoint else [])]
        environment = {}
        if self.gpus > 1:
            words.append(str(self.gpus))
            program = ['bash', short(ROOT / 'tools' / f'dist_{tool}.sh')]
            environment['PYTHON'] = sys.executable
        else:
            program = [sys.executable, short(ROOT / 'tools' / f'{tool}.py')]
        if self.config.stem.endswith(DATA['shapes'].suffix):
            environment['SHAPES'] = str(shapes_folders()[tool == 'test'])
        words += ['--work-dir', short(work_dir)]
        if tool == 'train':
            words.append('--resume')
        return Command([*program, *words, '--cfg-options', *options],
                       environment)

    def seconds(self) -> float | None:
        """Measured time of a training step; None without a log."""
        return seconds_per_iter(self.folder)

    def progress(self) -> str:
        """How far its training is, and how long it will take."""
        if self.done >= 1:
            return 'testing'
        steps, seconds = training_steps(self.folder), self.seconds()
        if not steps or not self.iterations:
            return ''
        left = (self.iterations - steps[-1]['step']) * seconds / 60
        return (f'iteration {steps[-1]["step"]} of {self.iterations}, '
                f'{left:.0f} min left')


def training_steps(folder: Path) -> list[dict]:
    """Read what a training has logged; nothing where there is no log."""
    try:
        return [line for line in read_scalars(folder) if 'loss' in line]
    except FileNotFoundError:
        return []


def seconds_per_iter(folder: Path) -> float | None:
    """Median time of the training steps in a folder; None without a log."""
    times = [line['time'] for line in training_steps(folder)]
    return statistics.median(times) if times else None


def difference(before, now, name: str = '') -> str:
    """Name the first entry in which two nested settings differ."""
    if before == now:
        return ''
    if isinstance(before, dict) and isinstance(now, dict):
        key = next(key for key in {**before, **now}
                   if before.get(key) != now.get(key)
                   or (key in before) != (key in now))
        return difference(
            before.get(key), now.get(key), f'{name}.{key}' if name else key)
    if isinstance(before, list) and isinstance(now,
                                               list) and len(before) == len(now):
        return next(
            difference(b, n, f'{name}.{i}')
            for i, (b, n) in enumerate(zip(before, now)) if b != n)
    return f'{name} was {before!r}, now {now!r}'


def shapes_folders() -> tuple[Path, Path]:
    """Folders of the built-in data: to train on, and never looked at."""
    folder = Path(os.environ.get('SHAPES', 'data/shapes'))
    return folder, folder.with_name(f'{folder.name}_unseen')


def prepare_data(data: str, cfg: Config) -> None:
    """Draw the built-in data where absent; check others.

    Args:
        data (str): key of ``DATA``.
        cfg (Config): of one of the runs.

    Raises:
        FileNotFoundError: in one line, where data are missing.
    """
    if data != 'shapes':
        check_data(cfg, 'train', 'test')
        return
    for folder, arguments in zip(shapes_folders(), ({}, UNSEEN)):
        names = ('train', 'val')
        if not all((folder / f'annotations/instances_{name}.json').exists()
                   for name in names):
            print(f'drawing {folder}', flush=True)
            make_shapes(folder, **arguments, progress=tqdm)


class Plan:
    """The runs of one table.

    Attributes:
        rows (dict[int, list[Run]]): of each row with a config, by its number,
            the runs, one a seed.
        runs (list[Run]): all, those first that others start from.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.table, self.data = TABLES[args.table], DATA[args.data]
        self.by_folder: dict[str, Run] = {}
        starts = [
            Row('', row.start, {}) for row in self.table.rows if row.start
        ]
        for row in starts:
            self.plan(row)
        found = {i: self.plan(row) for i, row in enumerate(self.table.rows)}
        self.rows = {i: runs for i, runs in found.items() if runs}
        self.runs = list(self.by_folder.values())

    def plan(self, row: Row) -> list[Run]:
        """Plan the runs of a row; none where it has no config."""
        name = row.method + self.data.suffix
        config = next(ROOT.glob(f'configs/[!_]*/{name}.py'), None)
        if config is None:
            return []
        return [self.plan_run(row, config, seed) for seed in self.args.seeds]

    def plan_run(self, row: Row, config: Path, seed: int) -> Run:
        """Plan one run, once, whichever rows ask for it."""
        name, settings = config.stem, [f'randomness.seed={seed}']
        if row.mask_from is not None:
            name += f'_from_{row.mask_from}k'
            settings.append('model.bbox_head.loss_cls.start_iter='
                            f'{row.mask_from / 90}')
        name += f'_seed{seed}'
        if name not in self.by_folder:
            start = row.start and self.by_folder[
                f'{row.start}{self.data.suffix}_seed{seed}']
            self.by_folder[name] = Run(
                config,
                Path(self.args.work_dir) / name,
                settings + self.args.cfg_options,
                list(NO_VALIDATION if self.args.data == 'shapes' else ()),
                self.args.gpus, start or None)
        return self.by_folder[name]

    def seconds_per_iter(self) -> tuple[float | None, str]:
        """Estimate the time of a training step, and say from what."""
        for path in sorted(
                Path(self.args.work_dir).glob(
                    f'*{self.data.suffix}*/settings.json')):
            seconds = seconds_per_iter(path.parent)
            if seconds and json.loads(
                    path.read_text())['gpus'] == self.args.gpus:
                return seconds, f'measured in {short(path.parent)}'
        return self.args.seconds_per_iter, '--seconds-per-iter'

    def show(self) -> None:
        """Print the commands that are left, and how long they will take."""
        seconds, source = self.seconds_per_iter()
        total = 0.
        for run in self.runs:
            if run.job.finished or run.job.refused:
                why = run.job.refused or 'finished'
                print(f'# {run.folder.name}: {why}')
                continue
            own = run.seconds()
            time, origin = (own, 'measured') if own else (seconds, source)
            left = run.iterations and run.iterations * (1 - run.done)
            text = f'{left:.0f} iterations left' if run.iterations else (
                'unknown number of iterations: no data here')
            if time is None or left is None:
                total = None
                text += ', unknown time'
            else:
                text += (f', {left * time / 3600:.2f} h at {time:.3g} s '
                         f'({origin})')
                total = total and total + left * time or (
                    None if total is None else left * time)
            print(f'# {run.folder.name}: {text}')
            for command in run.commands():
                words = [f'{k}={v}' for k, v in command.environment.items()]
                print(shlex.join([*words, *command.words]))
        for row in self.without_config():
            print(f'# {row.label}: no config {row.method}{self.data.suffix}')
        print(f'# in all: {self.total_text(total)}')

    def total_text(self, seconds: float | None) -> str:
        """Write the sum of the estimates."""
        if seconds is None:
            return ('unknown time: no run here was measured yet; give '
                    '--seconds-per-iter')
        hours, jobs = seconds / 3600, self.args.jobs
        gpus = f', {hours * self.args.gpus:.1f} GPU hours' * bool(
            self.args.gpus)
        return (f'{hours:.2f} h of training{gpus}, {hours / jobs:.2f} h with '
                f'{jobs} side by side; tests not counted')

    def without_config(self) -> list[Row]:
        """Rows that cannot be measured on these data."""
        return [
            row for i, row in enumerate(self.table.rows) if i not in self.rows
        ]
