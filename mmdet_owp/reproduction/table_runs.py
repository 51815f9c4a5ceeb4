"""The runs behind a table of the paper, and their tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mmdet_owp.errors import UserError
from mmdet_owp.reproduction.paper_tables import DETAILS, TABLES, Row
from mmdet_owp.reproduction.planner import MASKING, Planner
from mmdet_owp.reproduction.run_files import interval
from mmdet_owp.reproduction.training_run import TrainingRun
from mmdet_owp.tables import markdown_table, percent
from mmdet_owp.visualization.comparison import Cell, Comparison

# Heading and suffix of the names of tests.
_VIEWS = (('One view', ''), ('Several views', '_tta'))


class TableRuns(Planner):
    """The runs of one table.

    Args:
        table (int): key of ``TABLES``.
        data (str): key of ``DATA``.
        root (Path): see :class:`Planner`.
        work_dir (Path): see :class:`Planner`.
        methods (Sequence[str]): of the rows to run; by default all. The
            table has the results of all rows.
        **options: see :class:`Planner`.

    Attributes:
        rows (list[tuple[Row, list[TrainingRun]]]): for each row of the table
            one run per seed; none if there is no config.

    Raises:
        UserError: if no row has one of the methods, or the GPUs cannot share
            the images of a step.
    """

    def __init__(
        self,
        table: int,
        data: str,
        root: Path,
        work_dir: Path,
        methods: Sequence[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(f'table{table}', data, root, work_dir, **options)
        self.number, self.table = table, TABLES[table]
        rows = (*self.table.rows, *self.table.beyond)
        known = {row.method for row in rows}
        if set(methods) - known:
            raise UserError(
                f'--rows {" ".join(sorted(set(methods) - known))}: Table '
                f'{table} has {", ".join(sorted(known))}'
            )
        for row in rows:
            if row.start and self.find(row.method):
                self.plan(row.start)
        self.rows = [(row, self._plan_row(row)) for row in rows]
        self.choose(
            run
            for row, runs in self.rows
            for run in runs
            if not methods or row.method in methods
        )

    def _plan_row(self, row: Row) -> list[TrainingRun]:
        """Plan the runs of a row."""
        settings, suffix = [], ''
        if row.mask_from is not None:
            suffix = f'_from_{row.mask_from}k'
            settings.append(f'{MASKING}.start_iter={row.mask_from / 90}')
        return self.plan(
            row.method, row.start, settings, suffix, row.test, row.options
        )

    def write(self) -> str:
        """Write the table so far; return its Markdown."""
        results = {
            row.label: {
                seed: found
                for seed, run in zip(self.seeds, runs)
                if (found := run.results())
            }
            for row, runs in self.rows
        }
        tests = {row.label: row.test for row, _ in self.rows}
        comparison = self.compare(results)
        text = comparison.markdown()
        if self.table.beyond:
            found = {k: v for k, v in results.items() if v}
            text += self._details(found, tests)
            text += self._differences(found, tests)
        (self.folder / 'table.md').write_text(text, encoding='utf-8')
        comparison.write_csv(self.folder / 'table.csv')
        comparison.draw(self.folder / 'table.png')
        return text

    def compare(self, results: dict[str, dict[int, dict]]) -> Comparison:
        """Compare what was measured so far with the paper's numbers.

        Args:
            results (dict[str, dict[int, dict]]): of runs, by label and seed.
        """
        rows = {
            row.label: [
                Cell(
                    row.paper.get(metric),
                    [
                        100 * value
                        for value in _values(
                            results[row.label].values(),
                            row.test,
                            self.data.metric(metric),
                        )
                    ],
                )
                for metric in self.table.metrics
            ]
            for row in self.table.rows
        }
        seeds = sorted({seed for runs in results.values() for seed in runs})
        note = (
            f'Paper: {self.table.data}; measured: {self.data.on}, '
            f'training seeds {", ".join(map(str, seeds or self.seeds))}.'
        )
        if self.table.data != self.data.on:
            note += ' These are other data: the numbers cannot be compared.'
        return Comparison(
            f'Table {self.number}: {self.table.title}',
            note,
            [self.data.title(metric) for metric in self.table.metrics],
            rows,
        )

    def _details(
        self, results: dict[str, dict[int, dict]], tests: dict[str, str]
    ) -> str:
        """Return the tables of all rows, single-scale and of several views."""
        titles = [self.data.title(metric) for metric in DETAILS]
        text = (
            f'\n## Beyond the paper, on {self.data.on}\n\n'
            'Percent, mean ± standard deviation over the seeds; AR_s, AR_m '
            'and AR_l are those of small, medium and large objects.\n'
        )
        for views, suffix in _VIEWS:
            rows = []
            for label, by_seed in results.items():
                runs, test = by_seed.values(), tests[label] + suffix
                tested = [r['tests'][test] for r in runs if test in r['tests']]
                if not tested:
                    continue
                numbers = [
                    percent(_values(runs, test, self.data.metric(metric)))
                    for metric in DETAILS
                ]
                training = [r.get('seconds_per_training_image') for r in runs]
                seconds = [t.get('seconds_per_image') for t in tested]
                times = map(_milliseconds, (training, seconds))
                rows.append([label, *numbers, *times, str(len(tested))])
            if rows:
                columns = ['', *titles, 'ms/image training', 'ms/image test']
                table = markdown_table([*columns, 'seeds'], rows)
                text += f'\n### {views}\n\n{table}\n'
        return text

    def _differences(
        self, results: dict[str, dict[int, dict]], tests: dict[str, str]
    ) -> str:
        """Return the tables of differences between rows."""
        text = ''
        for views, suffix in _VIEWS:
            hits = {
                label: self._novel_hits(runs, tests[label] + suffix)
                for label, runs in results.items()
            }
            rows = []
            for first, second in self.table.differences:
                pair = hits.get(first, {}), hits.get(second, {})
                seeds = sorted(pair[0].keys() & pair[1].keys())
                cells = [_difference(*pair, seeds, k) for k in (10, 100)]
                if all(cells):
                    rows.append(
                        [f'{second} − {first}', *cells, str(len(seeds))]
                    )
            if rows:
                titles = [f'novel AR@{k} (drop-base)' for k in (10, 100)]
                table = markdown_table(['', *titles, 'seeds'], rows)
                text += f'\n{views}:\n\n{table}\n'
        note = (
            'Over the seeds that both rows have, with the 95% interval of a '
            'paired bootstrap over the test images; it does not contain the '
            'spread over training seeds.'
        )
        return f'\n### Differences\n\n{note}\n{text}' if text else ''

    def _novel_hits(self, runs: dict[int, dict], test: str) -> dict[int, dict]:
        """Return the hits on novel objects of runs that have them."""
        name = f'{self.data.prefix}novel'
        return {
            seed: hits[name]
            for seed, run in runs.items()
            if name in (hits := run['tests'].get(test, {}).get('hits', {}))
        }

    def missing_configs(self) -> list[str]:
        """Describe the rows that have no config on these data."""
        return [
            f'{row.label}: no config {row.method}{self.data.suffix}.py'
            for row, runs in self.rows
            if not runs
        ]


def _values(runs: Iterable[dict], test: str, metric: str) -> list[float]:
    """Return a metric of those runs that have it."""
    found = [r['tests'].get(test, {}).get('metrics', {}) for r in runs]
    values = (metrics.get(metric) for metrics in found)
    return [v for v in values if v is not None and not math.isnan(v)]


def _difference(
    first: dict[int, dict],
    second: dict[int, dict],
    seeds: Sequence[int],
    k: int,
) -> str:
    """Format the difference in AR@k of two rows; empty if there is none."""
    found = seeds and interval(
        [first[seed] for seed in seeds], [second[seed] for seed in seeds], k
    )
    if not found:
        return ''
    value, low, high = (100 * x for x in found)
    return f'{value:+.1f} [{low:+.1f}, {high:+.1f}]'


def _milliseconds(seconds: list[float | None]) -> str:
    """Format the mean of times; a dash without any."""
    known = [value for value in seconds if value]
    return f'{1000 * sum(known) / len(known):.0f}' if known else '-'
