"""The trainings behind Fig. 6, unknown-object masking, and its panels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product, starmap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmdet_owp.errors import UserError
from mmdet_owp.reproduction.paper_tables import (
    FIG6,
    FIG6_METHODS,
    FIG6_STARTS,
    FIG6_THRESHOLDS,
)
from mmdet_owp.reproduction.planner import MASKING, Planner
from mmdet_owp.reproduction.training_run import TrainingRun
from mmdet_owp.tables import markdown_table, percent
from mmdet_owp.visualization.curves import draw_panels


class Setting(NamedTuple):
    """One cell of the grid.

    Attributes:
        recipe (str): key of ``FIG6_METHODS``.
        threshold (float): objectness above which background is masked.
        start (int): where masking starts, in ninetieths of the training.
    """

    recipe: str
    threshold: float
    start: int


class FigureRuns(Planner):
    """One run per recipe, threshold, start and seed.

    Args:
        data (str): key of ``DATA``.
        root (Path): see :class:`Planner`.
        work_dir (Path): see :class:`Planner`.
        thresholds (Sequence[float]): see :class:`Setting`.
        starts (Sequence[int]): see :class:`Setting`.
        metrics (Sequence[str]): names of metrics of the test, one panel per
            threshold each. By default those of the paper.
        **options: see :class:`Planner`.
    """

    def __init__(
        self,
        data: str,
        root: Path,
        work_dir: Path,
        thresholds: Sequence[float] = FIG6_THRESHOLDS,
        starts: Sequence[int] = FIG6_STARTS,
        metrics: Sequence[str] = (),
        **options: Any,
    ) -> None:
        super().__init__('figure6', data, root, work_dir, **options)
        self.metrics = metrics or [self.data.prefix + name for name in FIG6]
        grid = product(FIG6_METHODS, sorted(set(thresholds)), starts)
        self.grid = {
            cell: self._plan_cell(cell) for cell in starmap(Setting, grid)
        }
        self.choose(run for runs in self.grid.values() for run in runs)

    def _plan_cell(self, cell: Setting) -> list[TrainingRun]:
        method, start = FIG6_METHODS[cell.recipe]
        settings = (
            f'{MASKING}.threshold={cell.threshold}',
            f'{MASKING}.start_iter={cell.start / 90}',
        )
        suffix = f'_above_{cell.threshold}_from_{cell.start}k'
        return self.plan(method, start, settings, suffix)

    def write(self) -> str:
        """Draw the results so far and return their table in Markdown.

        Raises:
            UserError: if no test has one of the metrics.
        """
        titles = [self.data.title(name) for name in self.metrics]
        rows, panels = [], {}
        for cell, runs in self.grid.items():
            results = [r for run in runs if (r := run.results())]
            if not results:
                continue
            seeds = [self._metrics_of(result) for result in results]
            for i, title in enumerate(titles):
                title = f'{title}, threshold {cell.threshold}'
                lines = panels.setdefault(title, {})
                curves = lines.setdefault(
                    cell.recipe, [{} for _ in self.seeds]
                )
                for curve, values in zip(curves, seeds):
                    curve[cell.start] = 100 * values[i]
            # A file of results has null for nan.
            masked = [r.get('masked_background') for r in results]
            masked = [np.nan if m is None else m for m in masked]
            rows.append([
                cell.recipe, str(cell.threshold), f'{cell.start}/90',
                *map(percent, zip(*seeds)), f'{100 * np.mean(masked):.3g}',
            ])  # fmt: skip
        heading = ['', 'threshold', 'start', *titles, 'background masked (%)']
        table = f'# Fig. 6 on {self.data.on}\n\n'
        table += f'{markdown_table(heading, rows)}\n'
        if panels:
            draw_panels(
                self.folder / 'figure.png',
                panels,
                columns=len(titles),
                xlabel='masking starts after (of 90 parts)',
                xticks=sorted({cell.start for cell in self.grid}),
            )
        (self.folder / 'table.md').write_text(table, encoding='utf-8')
        return table

    def _metrics_of(self, results: dict) -> list[float]:
        """Return the metrics of a run, from 0 to 1."""
        metrics = results['tests']['test']['metrics']
        missing = [name for name in self.metrics if name not in metrics]
        if missing:
            raise UserError(
                f'--metrics {missing[0]}: no metric of the test; there are '
                f'{", ".join(metrics)}'
            )
        return [
            np.nan if metrics[name] is None else metrics[name]
            for name in self.metrics
        ]

    def missing_configs(self) -> list[str]:
        """Describe the recipes that have no config on these data."""
        return [
            f'{recipe}: no config {method}{self.data.suffix}.py'
            for recipe, (method, _) in FIG6_METHODS.items()
            if not self.find(method)
        ]
