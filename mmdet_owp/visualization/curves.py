"""Panels of lines, of what runs have logged and of recall: no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from mmdet_owp.visualization import style

# Values by place on the axis, of one run or of several that differ in seed.
Curve = Mapping[float, float]
Lines = Mapping[str, Sequence[Curve]]
# Places of a curve that are shown as points, too.
FEW = 20


def draw_panels(
    path: Path,
    panels: Mapping[str, Lines],
    *,
    columns: int,
    xlabel: str,
    xticks: Sequence[float] | None = None,
    floors: Mapping[str, Lines] = {},
) -> None:
    """Draw a line a label in each panel, and write the picture.

    Args:
        path (Path): of the picture.
        panels (dict): curves by title of the panel and label.
        columns (int): panels side by side.
        xlabel (str): of the lowest panels.
        xticks (Sequence[float], optional): where the axis has numbers.
        floors (dict): as ``panels``: what the values can't fall below, thin
            and dotted in the colour of the label.
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
    """Draw the mean of curves, in a band from the lowest to the highest.

    Args:
        ax (Axes): where to draw.
        curves (Sequence[Curve]): where one has no value the others count.
        look (dict): arguments of ``Axes.plot``.

    Returns:
        Line2D: for a legend.
    """
    x = sorted(set().union(*curves))
    values = [[curve[i] for curve in curves if i in curve] for i in x]
    if len(x) <= FEW:
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
