"""Tables of measured numbers beside the paper's; needs no torch."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from mmdet_owp.tables import markdown_table, percent
from mmdet_owp.visualization import style


class Cell(NamedTuple):
    """One number of a table, in percent.

    Attributes:
        paper (float, optional): printed in the paper.
        measured (list[float]): one number per seed.
    """

    paper: float | None
    measured: list[float]

    @property
    def mean(self) -> float | None:
        """Mean over the seeds."""
        return float(np.mean(self.measured)) if self.measured else None

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over the seeds."""
        if len(self.measured) < 2:
            return None
        return float(np.std(self.measured, ddof=1))

    @property
    def difference(self) -> float | None:
        """Measured mean minus the paper's number."""
        if self.paper is None or not self.measured:
            return None
        return self.mean - self.paper

    def __str__(self) -> str:
        if self.paper is None and not self.measured:
            return '-'
        paper = '-' if self.paper is None else f'{self.paper:.2f}'
        off = '-' if self.difference is None else f'{self.difference:+.1f}'
        return f'{paper} / {percent([x / 100 for x in self.measured])} / {off}'


class Comparison(NamedTuple):
    """A table of cells.

    Attributes:
        title (str): of the table.
        note (str): what was measured and how, and what may be compared.
        columns (list[str]): column headings.
        rows (dict[str, list[Cell]]): one cell per column, by row label.
    """

    title: str
    note: str
    columns: list[str]
    rows: dict[str, list[Cell]]

    def markdown(self) -> str:
        """Return the table in Markdown."""
        rows = [
            [label, *map(str, cells)] for label, cells in self.rows.items()
        ]
        return (
            f'# {self.title}\n\n{self.note} Each cell: paper / measured / '
            'difference, in percent.\n\n'
            + markdown_table(['', *self.columns], rows)
            + '\n'
        )

    def write_csv(self, path: Path) -> None:
        """Write one line per cell that has a number."""
        heading = ['row', 'column', 'paper', 'mean', 'standard deviation']
        with path.open('w', encoding='utf-8', newline='') as file:
            writer = csv.writer(file)
            writer.writerow([*heading, 'seeds', 'difference'])
            for label, cells in self.rows.items():
                for column, cell in zip(self.columns, cells):
                    if cell.paper is None and not cell.measured:
                        continue
                    numbers = (
                        cell.paper,
                        cell.mean,
                        cell.deviation,
                        len(cell.measured),
                        cell.difference,
                    )
                    rounded = (x and round(x, 4) for x in numbers)
                    writer.writerow([label, column, *rounded])

    def draw(self, path: Path) -> None:
        """Draw one panel per column that has numbers in the paper."""
        labels = list(self.rows)
        panels = [
            (head, [cells[i] for cells in self.rows.values()])
            for i, head in enumerate(self.columns)
            if any(cells[i].paper is not None for cells in self.rows.values())
        ]
        down = -(-len(panels) // 3)
        height = 1 + 0.24 * len(labels)
        note = self.note.replace('. ', '.\n')
        with style.new_figure(down, 3, height, f'{self.title}\n{note}') as (
            figure,
            axes,
        ):
            for axis, (head, cells) in zip(axes.flat, panels):
                _draw_panel(axis, cells)
                axis.set_title(head.replace(' (', '\n('))
                axis.set_yticks(range(len(labels)), [''] * len(labels))
                axis.set_ylim(len(labels) - 0.5, -0.5)
            for axis in axes[:, 0]:
                axis.set_yticklabels(labels)
            for axis in axes.flat[len(panels) :]:
                axis.set_visible(False)
            figure.legend(
                *axes[0, 0].get_legend_handles_labels(),
                loc='outside lower center',
                ncols=2,
            )
            style.save(figure, path)


def _draw_panel(axis: Axes, cells: list[Cell]) -> None:
    """Draw the numbers of a column, one row each."""
    rows = [i for i, cell in enumerate(cells) if cell.measured]
    axis.errorbar(
        [cells[i].mean for i in rows],
        rows,
        xerr=[cells[i].deviation or 0.0 for i in rows],
        fmt='o',
        color=style.SERIES[0],
        capsize=3,
        label='measured, mean ± standard deviation',
    )
    rows = [i for i, cell in enumerate(cells) if cell.paper is not None]
    axis.plot(
        [cells[i].paper for i in rows],
        rows,
        'D',
        color=style.SERIES[1],
        markerfacecolor='none',
        label='paper',
    )
    axis.margins(x=0.1)
    axis.set_xlim(left=0)
