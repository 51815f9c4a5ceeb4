"""Panels of curves; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Dict, List

import numpy as np
from matplotlib.axes import Axes

from mmdet_owp.visualization import style

# y values by x value, and by label the curves of the seeds of a run.
Curve = Dict[float, float]  # noqa: UP006 (evaluated by Python 3.8)
Lines = Dict[str, List[Curve]]  # noqa: UP006
# Curves of at most so many values show them as points.
MAX_MARKERS = 20


def draw_panels(
    path: Path,
    panels: Mapping[str, Lines],
    *,
    columns: int,
    xlabel: str,
    xticks: Sequence[float] | None = None,
    floors: Mapping[str, Lines] = {},
) -> None:
    """Draw and write panels with one line per label.

    Args:
        path (Path): of the picture.
        panels (dict): curves by panel title and label.
        columns (int): panels side by side.
        xlabel (str): label of the x axis.
        xticks (Sequence[float], optional): positions of the tick labels.
        floors (dict): lower bounds of the curves in ``panels``, drawn dotted
            in the color of the label.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    labels = list(dict.fromkeys(x for p in panels.values() for x in p))
    looks = {label: style.series(i) for i, label in enumerate(labels)}
    with style.new_figure(rows, columns, 3.2) as (figure, axes):
        for axis in axes.flat[len(panels) :]:
            axis.set_axis_off()
        handles: dict = {}
        for axis, (title, lines) in zip(axes.flat, panels.items()):
            axis.set_title(title)
            for label, curves in lines.items():
                handles[label] = draw_curves(axis, curves, looks[label])
            for label, curves in floors.get(title, {}).items():
                look = dict(looks[label], linestyle=':', marker='')
                floor = draw_curves(axis, curves, look)
                handles.setdefault('the least it can be', floor)
            if xticks is not None:
                axis.set_xticks(xticks)
        for axis in axes.flat[len(panels) - columns : len(panels)]:
            axis.set_xlabel(xlabel)
        figure.legend(
            handles.values(),
            handles,
            loc='outside lower center',
            ncols=min(len(handles), 3),
        )
        style.save(figure, path)


def draw_curves(ax: Axes, curves: Sequence[Curve], look: Mapping):
    """Draw the mean of curves in a band from minimum to maximum.

    Args:
        ax (Axes): where to draw.
        curves (Sequence[Curve]): where one has no value, the others count.
        look (dict): arguments of ``Axes.plot``.

    Returns:
        Line2D: for the legend.
    """
    x = sorted(set().union(*curves))
    values = [[curve[i] for curve in curves if i in curve] for i in x]
    if len(x) <= MAX_MARKERS:
        look = {'marker': 'o', 'markersize': 4, **look}
    (line,) = ax.plot(x, list(map(np.mean, values)), **look)
    if len(curves) > 1:
        ax.fill_between(
            x,
            list(map(min, values)),
            list(map(max, values)),
            color=look['color'],
            alpha=0.2,
        )
    return line
