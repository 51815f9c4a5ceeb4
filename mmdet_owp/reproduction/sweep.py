"""Train a grid of unknown-object masking and report it (Fig. 6, Table 4)."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

from mmdet_owp.errors import UserError
from mmdet_owp.reproduction.jobs import Command, Job
from mmdet_owp.reproduction.logs import read_masking, read_scalars
from mmdet_owp.reproduction.paper_tables import column_title
from mmdet_owp.tables import markdown_table
from mmdet_owp.visualization.curves import draw_panels

_LOSS = 'model.bbox_head.loss_cls'


class Setting(NamedTuple):
    """One cell of the grid.

    Attributes:
        name (str): of the config.
        threshold (float): objectness above which background is masked.
        start (int): where masking starts, in ninetieths of the training.
    """

    name: str
    threshold: float
    start: int


def plan_sweep(
    configs: Sequence[str],
    thresholds: Sequence[float],
    starts: Sequence[int],
    metrics: Sequence[str],
    train: Path,
    work_dir: Path,
    options: Sequence[str] = (),
) -> dict[Setting, Job]:
    """Plan one training per config, threshold and start.

    Args:
        configs (Sequence[str]): paths.
        thresholds (Sequence[float]): see :class:`Setting`.
        starts (Sequence[int]): see :class:`Setting`.
        metrics (Sequence[str]): what a finished training has logged.
        train (Path): of tools/train.py.
        work_dir (Path): folder of all runs.
        options (Sequence[str]): KEY=VALUE for every run. Default ().
    """
    jobs = {}
    for config, threshold, start in product(configs, thresholds, starts):
        setting = Setting(Path(config).stem, threshold, start)
        folder = work_dir / f'{setting.name}_{threshold}_{start}k'
        words = [
            sys.executable, train, config, '--work-dir', folder, '--resume',
            '--cfg-options', f'{_LOSS}.threshold={threshold}',
            f'{_LOSS}.start_iter={start / 90}', *options,
        ]  # fmt: skip
        command = Command(list(map(str, words)))
        complete = partial(_has_metrics, folder, metrics)
        jobs[setting] = Job(folder, partial(list, [command]), complete)
    return jobs


def _has_metrics(folder: Path, metrics: Sequence[str]) -> bool:
    return last_metrics(folder, metrics) is not None


def last_metrics(folder: Path, metrics: Sequence[str]) -> list[float] | None:
    """Read metrics of the last validation, in percent; None without one."""
    try:
        scalars = read_scalars(folder)
    except UserError:
        return None
    found = [line for line in scalars if all(key in line for key in metrics)]
    return [100 * found[-1][key] for key in metrics] if found else None


def report_sweep(
    jobs: Mapping[Setting, Job], metrics: Sequence[str], picture: Path
) -> str:
    """Draw the finished trainings and return their table in Markdown.

    Args:
        jobs (Mapping[Setting, Job]): of :func:`plan_sweep`; at least one is
            finished.
        metrics (Sequence[str]): of :func:`plan_sweep`.
        picture (Path): to write: one row per threshold, one column per
            metric.
    """
    titles = [column_title(name) for name in metrics]
    finished = {k: job.folder for k, job in jobs.items() if job.finished}
    rows, panels = [], {}
    for setting, folder in finished.items():
        values = last_metrics(folder, metrics)
        label = setting.name, str(setting.threshold), f'{setting.start}/90'
        masked = f'{100 * read_masking(folder)[0]:.3g}'
        rows.append([*label, *(f'{value:.1f}' for value in values), masked])
    for setting in sorted(finished, key=lambda s: (s.threshold, s.start)):
        values = last_metrics(finished[setting], metrics)
        for title, value in zip(titles, values):
            title = f'{title}, threshold {setting.threshold}'
            lines = panels.setdefault(title, {})
            lines.setdefault(setting.name, [{}])[0][setting.start] = value
    draw_panels(
        picture,
        panels,
        columns=len(titles),
        xlabel='masking starts after (of 90 parts)',
        xticks=sorted({setting.start for setting in finished}),
    )
    return markdown_table(
        ['', 'threshold', 'start', *titles, 'background masked (%)'], rows
    )
