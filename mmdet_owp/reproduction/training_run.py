"""One training and its test, as commands of tools/train.py and tools/test.py.

Needs mmengine, to read configs, but not mmdet.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import json
import math
import os
import os.path as osp
import reprlib
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from mmdet_owp.cli import add_cfg_options
from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.engine.checkpoint import TORCHVISION, ZOOS, zoo_address
from mmdet_owp.errors import UserError
from mmdet_owp.partitions import resolve_partition
from mmdet_owp.reproduction.jobs import Command, Job
from mmdet_owp.reproduction.logs import (
    read_masking,
    read_metrics,
    read_scalars,
)
from mmdet_owp.reproduction.run_files import (
    commit,
    machine,
    portable,
    read_run_file,
)

# The parts of a config that determine the results. The others are variables
# of the config itself, logging, and validation.
_RESULTS_FROM = (
    'model', 'train_dataloader', 'train_cfg', 'optim_wrapper',
    'param_scheduler', 'auto_scale_lr', 'custom_hooks', 'randomness',
    'test_dataloader', 'test_evaluator',
)  # fmt: skip


class Test(NamedTuple):
    """A test of a trained model.

    Attributes:
        options (tuple[str]): KEY=VALUE of this test alone.
        tta (bool): whether it merges several views of each image.
    """

    options: tuple[str, ...] = ()
    tta: bool = False


class TrainingRun:
    """One training and its tests, run by :attr:`job`.

    ``settings.json`` in the folder stores the settings that determine the
    results. A folder with other settings is neither resumed nor reported.

    Args:
        config (Path): config file.
        folder (Path): for checkpoints, logs and metrics.
        settings (list[str]): KEY=VALUE that change the results, for training
            and test.
        tools (Path): folder of train.py and the other tools.
        options (tuple[str]): KEY=VALUE that do not, for training. Default ().
        gpus (int): number of GPUs of the training; 0, the default, is the
            CPU. They share the images of a step, whose number stays the same.
        start (TrainingRun, optional): run whose last checkpoint this one
            starts from.
        environments (tuple[dict]): environment variables of training and
            test.
        flags (tuple[str]): of tools/train.py that change the results, such
            as ``--amp``. Default ().
        run_file (Path, optional): file of results. With equal settings it
            counts as finished; with others it is neither read nor written.

    Attributes:
        tests (dict[str, Test]): by name, which is that of their work folder;
            may be added to.
        followers (list[TrainingRun]): runs to be made that start from this
            one. They need its checkpoint, not its results alone.
        cfg (Config): config of the training.
        iterations (int | None): steps of the training; None if the data that
            determine them are missing.
        job (Job): to run it.
        weights (list[str]): names of the files of pretrained weights, if
            ``settings`` change them.
        note (str): how the file of results differs; empty if it does not.

    Raises:
        UserError: if the GPUs cannot share the images of a step.
    """

    def __init__(
        self,
        config: Path,
        folder: Path,
        settings: list[str],
        tools: Path,
        options: tuple[str, ...] = (),
        gpus: int = 0,
        start: TrainingRun | None = None,
        environments: Sequence[dict[str, str]] = ({}, {}),
        flags: Sequence[str] = (),
        run_file: Path | None = None,
    ) -> None:
        self.config, self.folder, self.tools = config, folder, tools
        self.settings, self.gpus, self.start = settings, gpus, start
        self.environments, self.run_file = environments, run_file
        self.flags, self.tests = list(flags), {'test': Test()}
        self.followers: list[TrainingRun] = []
        plain = Config.fromfile(config, import_custom_modules=False)
        usual = _checkpoints(plain.model.to_dict())
        plain.merge_from_dict(_parse(settings))
        given = _checkpoints(plain.model.to_dict())
        self.weights: list[str] = []
        # Those of the config may be a file here and a download elsewhere.
        if given != usual and _file_names(given) != _file_names(usual):
            self.weights = _file_names(given)
        entries = plain.to_dict().items()
        results_from = {k: v for k, v in entries if k in _RESULTS_FROM}
        # As JSON stores it: without tuples.
        self.record = json.loads(json.dumps(results_from, default=str))
        if flags:
            self.record['flags'] = self.flags
        self.note = self._other_file()
        if self.note:
            self.run_file = None
        self.options = [*options, *self._batch_size(plain)]
        self.cfg = copy.deepcopy(plain)
        self.cfg.merge_from_dict(_parse([*self.options, *settings]))
        loop = self.cfg.train_cfg
        self.by_epoch = 'max_epochs' in loop
        self.last = loop.max_epochs if self.by_epoch else loop.max_iters
        self.iterations = self._count_iterations()
        self.job = Job(
            folder,
            self._begin,
            lambda: not (self._tests_left() or self._lacks_checkpoint()),
            start.job if start else None,
            self.progress,
            self._conflict(),
            lambda: bool(self.on_file()) and not self._lacks_checkpoint(),
        )

    def _batch_size(self, cfg: Config) -> list[str]:
        """Return the setting of images per GPU that keeps their sum."""
        total = cfg.get('auto_scale_lr', {}).get('base_batch_size')
        key, processes = 'train_dataloader.batch_size', max(self.gpus, 1)
        is_set = any(s.startswith(f'{key}=') for s in self.settings)
        if total is None or is_set:
            return []
        if total % processes:
            raise UserError(
                f'{self.config}: {total} images per step cannot '
                f'be shared by {self.gpus} GPUs; set '
                '--cfg-options train_dataloader.batch_size=N'
            )
        if total == processes * cfg.train_dataloader.batch_size:
            return []
        return [f'{key}={total // processes}']

    def _count_iterations(self) -> int | None:
        """Count the steps of the training."""
        if not self.by_epoch:
            return self.last
        loader = self.cfg.train_dataloader
        images = _count_images(
            osp.join(loader.dataset.data_root, loader.dataset.ann_file),
            json.dumps(loader.dataset.partition),
            loader.dataset.split,
        )
        step = loader.batch_size * max(self.gpus, 1)
        return images and self.last * math.ceil(images / step)

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint."""
        unit = 'epoch' if self.by_epoch else 'iter'
        return self.folder / f'{unit}_{self.last}.pth'

    @property
    def part_done(self) -> float:
        """Fraction of the training up to the newest checkpoint."""
        try:
            newest = (
                (self.folder / 'last_checkpoint')
                .read_text(encoding='utf-8')
                .strip()
            )
            return int(Path(newest).stem.split('_')[-1]) / self.last
        except (FileNotFoundError, ValueError):  # ValueError: it is empty
            return 0.0

    def _conflict(self) -> str:
        """Describe a setting that differs from those stored, if any."""
        path = self.folder / 'settings.json'
        if path.exists():
            before = read_settings(path)['config']
            if before != self.record:
                return (
                    f'{self.folder} was made with other settings '
                    f'({_difference(before, self.record)}); remove it, or '
                    'choose another folder'
                )
        return ''

    def _other_file(self) -> str:
        """Describe a run file that was made with other settings, if any."""
        content = self._read_run_file()
        if not content:
            return ''
        now = dict(portable(self.record), weights=self.weights)
        # Earlier files do not name the weights.
        weights = content.get('weights', self.weights)
        before = dict(content['settings'], weights=weights)
        if before == now:
            return ''
        return (
            f'{self.run_file} was made with other settings '
            f'({_difference(before, now)}): it is neither used nor replaced; '
            '--runs names another folder'
        )

    def _read_run_file(self) -> dict | None:
        return read_run_file(self.run_file) if self.run_file else None

    def on_file(self) -> dict | None:
        """Return the file of results if it has all tests."""
        content = self._read_run_file()
        if content and set(self.tests) <= set(content['tests']):
            return content
        return None

    def _lacks_checkpoint(self) -> bool:
        """Whether a run that is left to be made needs the checkpoint."""
        needed = any(not run.job.finished for run in self.followers)
        return needed and not self.checkpoint.exists()

    def _tests_left(self) -> list[str]:
        """Return the names of the tests that have no results."""
        content = self._read_run_file()
        done = set(content['tests']) if content else set()
        return [
            name
            for name in self.tests
            if name not in done
            and not any((self.folder / name).glob('[0-9]*/[0-9]*.json'))
        ]

    def _begin(self) -> list[Command]:
        """Store the settings; return the commands that are left."""
        path = self.folder / 'settings.json'
        revision = commit(self.tools)
        if path.exists():  # the commit that began the training
            revision = read_settings(path).get('commit', revision)
        content = dict(gpus=self.gpus, commit=revision, config=self.record)
        temporary = path.with_suffix('.json.tmp')
        temporary.write_text(json.dumps(content, indent=1), encoding='utf-8')
        os.replace(temporary, path)
        return self.commands()

    def commands(self) -> list[Command]:
        """Return the commands that are left to run."""
        tests = [self._test(name) for name in self._tests_left()]
        if self.part_done >= 1 and self.checkpoint.exists():
            return tests
        options = [*self.options, *self.settings]
        if self.start:
            options.insert(0, f'load_from={_short(self.start.checkpoint)}')
        words = ['--work-dir', _short(self.folder), '--resume', *self.flags]
        return [self._command('train', [], words, options), *tests]

    def _test(self, name: str) -> Command:
        """Return the command of a test."""
        test, folder = self.tests[name], self.folder / name
        words = ['--work-dir', _short(folder), *['--tta'] * test.tta]
        options = [*self.settings, *test.options]
        evaluators = self.cfg.test_evaluator
        if isinstance(evaluators, list):
            kinds = [one['type'] for one in evaluators]
            if 'ClassAgnosticRecallMetric' in kinds:
                position = kinds.index('ClassAgnosticRecallMetric')
                hits = _short(folder / 'hits.json')
                options.append(f'test_evaluator.{position}.hits_file={hits}')
        return self._command('test', [_short(self.checkpoint)], words, options)

    def _command(
        self,
        name: str,
        checkpoint: list[str],
        arguments: list[str],
        options: list[str],
    ) -> Command:
        """Return a call of train.py or test.py, in one process or several."""
        environment = dict(self.environments[name == 'test'])
        words = [_short(self.config), *checkpoint]
        if self.gpus > 1:
            script = _short(self.tools / f'dist_{name}.sh')
            words = ['bash', script, *words, str(self.gpus)]
            environment['PYTHON'] = sys.executable
        else:
            words = [sys.executable, _short(self.tools / f'{name}.py'), *words]
        words += [*arguments, '--cfg-options', *options]
        return Command(words, environment)

    def progress(self) -> str:
        """Return the progress and the remaining time, as text."""
        if self.part_done >= 1:
            return 'testing'
        steps = _training_steps(self.folder)
        if not steps or not self.iterations:
            return ''
        step = steps[-1]['step']
        minutes = (self.iterations - step) * _median_time(steps) / 60
        return f'iteration {step} of {self.iterations}, {minutes:.0f} min left'

    def results(self) -> dict | None:
        """Return the results: those on file, and those in the folder.

        Returns:
            dict, optional: the content of a run file (see
            :mod:`mmdet_owp.reproduction.run_files`); of an unfinished run
            what is on file. None if nothing is, or the work folder has
            other settings.
        """
        if self.job.refused:
            return None
        content = self._read_run_file()
        if not self.job.finished:
            return content
        content = content or self._describe_training()
        measured = {
            name: self._read_test(name)
            for name in self.tests
            if name not in content['tests']
        }
        return dict(content, tests={**content['tests'], **measured})

    def _describe_training(self) -> dict:
        """Return what a run file has about the training."""
        content = dict(
            settings=portable(self.record),
            weights=self.weights,
            commit=read_settings(self.folder / 'settings.json').get('commit'),
            machine=machine(self.gpus),
            iterations=self.iterations,
            seconds_per_training_image=None,
            tests={},
        )
        seconds = measured_step_time(self.folder)
        if seconds:
            step = self.cfg.train_dataloader.batch_size * max(self.gpus, 1)
            content['seconds_per_training_image'] = round(seconds / step, 5)
        with contextlib.suppress(UserError):  # no masking in the config
            content['masked_background'] = read_masking(self.folder)[0]
        return content

    def _read_test(self, name: str) -> dict:
        """Return what a run file has about a test."""
        logged = read_metrics(self.folder / name)
        batch = self.cfg.test_dataloader.batch_size * max(self.gpus, 1)
        test = dict(
            metrics={k: round(v, 6) for k, v in logged.items() if '/' in k},
            hits=_read_hits(self.folder / name / 'hits.json'),
        )
        if 'time' in logged:
            test['seconds_per_image'] = round(logged['time'] / batch, 5)
        return test


def _read_hits(path: Path) -> dict[str, Mapping]:
    """Read the hits per image by split, those of ``drop-base``."""
    if not path.exists():
        return {}
    content = json.loads(path.read_text(encoding='utf-8'))
    suffix = '_drop-base'
    return {
        name[: -len(suffix)]: hits
        for name, hits in content.items()
        if name.endswith(suffix)
    }


def read_settings(path: Path) -> dict:
    """Read the ``settings.json`` of a run.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise UserError(
            f'{path}: not the settings of a run ({error}); remove the folder '
            'to train it again'
        ) from error


def measured_step_time(folder: Path) -> float | None:
    """Return the median time of a training step in seconds, None unlogged."""
    steps = _training_steps(folder)
    return _median_time(steps) if steps else None


def _training_steps(folder: Path) -> list[dict]:
    """Read what a training has logged of its steps; [] without logs."""
    try:
        return [line for line in read_scalars(folder) if 'loss' in line]
    except UserError:
        return []


def _median_time(steps: list[dict]) -> float:
    return statistics.median(step['time'] for step in steps)


def _parse(options: list[str]) -> dict:
    """Parse KEY=VALUE as tools/train.py does."""
    for option in options:
        if '=' not in option:
            raise UserError(f'--cfg-options {option}: must be KEY=VALUE')
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    return parser.parse_args(['--cfg-options', *options]).cfg_options


@functools.lru_cache(None)
def _count_images(ann_file: str, partition: str, split: str) -> int | None:
    """Count the images with a box of a split; None without the file.

    The partition is given as JSON, so that the result can be cached.
    """
    if not osp.isfile(ann_file):
        return None
    content = read_coco(ann_file)
    classes = resolve_partition(
        json.loads(partition), content['categories'], ann_file
    ).categories(split)
    images = {
        box['image_id']
        for box in content['annotations']
        if box['category_id'] in classes and not box.get('iscrowd')
    }
    return len(images)


def _checkpoints(settings: Any) -> list[str]:
    """Return the weights that a model starts from, as its settings say."""
    if isinstance(settings, list):
        settings = dict(enumerate(settings))
    if not isinstance(settings, dict):
        return []
    found = []
    for key, value in settings.items():
        if key == 'checkpoint' and isinstance(value, str):
            found.append(value)
        else:
            found += _checkpoints(value)
    return found


def _file_names(checkpoints: Sequence[str]) -> list[str]:
    """Return the names of the files, of a zoo's model where it is known."""
    names = []
    for checkpoint in checkpoints:
        with contextlib.suppress(UserError):  # torchvision may be missing
            if checkpoint.startswith((*ZOOS, *TORCHVISION)):
                checkpoint = zoo_address(checkpoint)
        names.append(osp.basename(checkpoint))
    return names


def _difference(before, now, name: str = '') -> str:
    """Describe the first entry in which two nested settings differ."""
    if isinstance(before, list) and isinstance(now, list):
        before, now = dict(enumerate(before)), dict(enumerate(now))
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return f'{name[1:]} was {reprlib.repr(before)}, is {reprlib.repr(now)}'
    key = next(
        k
        for k in [*before, *now]
        if k not in before or k not in now or before[k] != now[k]
    )
    return _difference(before.get(key), now.get(key), f'{name}.{key}')


def _short(path: Path) -> str:
    """Return a path relative to the current folder if that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)
