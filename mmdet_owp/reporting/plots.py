"""Plots of the page as SVG, each with its numbers as a table."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np

from mmdet_owp.recall import Evaluation
from mmdet_owp.visualization import style
from mmdet_owp.visualization.curves import draw_curves

# Edges between sizes of objects, as the root of their area in pixels.
EDGES = np.array([16, 32, 64, 96, 128, 256])
# Names of files and classes are untrusted: no formulas; text stays text.
_SETTINGS = {
    'svg.fonttype': 'none',
    'text.parse_math': False,
    'font.family': 'sans-serif',
}


class Plot(NamedTuple):
    """A plot: SVG text, and the numbers in percent as rows of text."""

    title: str
    svg: str
    heading: list[str]
    rows: list[list[str]]


def recall_plots(
    evaluations: Mapping[str, Evaluation], k: int, max_k: int
) -> list[Plot]:
    """Draw recall against k, IoU and object size.

    Args:
        evaluations (dict[str, Evaluation]): by label, of the same objects.
        k (int): proposals per image for the latter two.
        max_k (int): end of the first curve.
    """
    first = next(iter(evaluations.values()))
    ks = np.arange(1, max_k + 1)
    shown = sorted(
        {x for x in (1, 3, 10, 30, 100, 300, 1000) if x <= max_k} | {max_k}
    )
    ious = first.iou_thrs.round(2)
    names = [f'< {EDGES[0]}']
    names += [f'{a}-{b}' for a, b in zip(EDGES, EDGES[1:])]
    names += [f'≥ {EDGES[-1]}']
    by_k = {n: e.average_recalls(max_k) for n, e in evaluations.items()}
    by_iou = {n: e.recall(k) for n, e in evaluations.items()}
    by_size = {n: _recall_by_size(e, k) for n, e in evaluations.items()}
    size_of = _sizes(first)[first.wanted['all']]
    counts = np.bincount(size_of, minlength=len(names))
    heads = [f'{n} px ({c})' for n, c in zip(names, counts)]
    at_shown = {n: values[np.array(shown) - 1] for n, values in by_k.items()}
    sizes = range(len(names))
    return [
        _plot('AR against k', 'k, proposals per image', ks, by_k, log=True)(
            [str(x) for x in shown], at_shown
        ),
        _plot(f'Recall of {k} proposals against IoU', 'IoU', ious, by_iou)(
            [f'{x:.2f}' for x in ious], by_iou
        ),
        _plot(
            f'AR@{k} against object size',
            'root of the area, in pixels',
            sizes,
            by_size,
            ticks=names,
        )(heads, by_size),
    ]


def _sizes(evaluation: Evaluation) -> np.ndarray:
    areas = evaluation.ground_truth.areas
    return np.searchsorted(EDGES, np.sqrt(areas), 'right')


def _recall_by_size(evaluation: Evaluation, k: int) -> np.ndarray:
    """AR@k per size; objects of all sizes are matched together."""
    hits, sizes = evaluation.found['all'], _sizes(evaluation)
    num = len(EDGES) + 1
    found = np.bincount(sizes[hits.object[hits.rank < k]], minlength=num)
    number = np.bincount(sizes[evaluation.wanted['all']], minlength=num)
    with np.errstate(invalid='ignore'):
        return found / (number * len(evaluation.iou_thrs))


def _plot(
    title: str,
    xlabel: str,
    x: Sequence[float] | np.ndarray,
    lines: Mapping[str, np.ndarray],
    log: bool = False,
    ticks: Sequence[str] = (),
):
    """Draw curves; return a function of the table that makes the plot."""
    with matplotlib.rc_context(_SETTINGS):
        with style.new_figure(1, 1, 3.6) as (figure, axes):
            ax = axes[0, 0]
            for i, (label, values) in enumerate(lines.items()):
                # A label that starts with "_" would be left out.
                look = dict(style.series(i), label=f'\u200b{label}')
                draw_curves(ax, [dict(zip(x, 100 * values))], look)
            if log:
                ax.set_xscale('log')
                ax.xaxis.set_major_formatter('{x:g}')
            if ticks:
                ax.set_xticks(range(len(ticks)), ticks)
            ax.set_xlabel(xlabel)
            ax.set_ylabel('recall (%)')
            ax.set_ylim(bottom=0)
            ax.legend()
            for patch in (figure.patch, ax.patch):
                patch.set_visible(False)
            text = io.StringIO()
            matplotlib.rcParams['svg.hashsalt'] = title
            figure.savefig(text, format='svg', metadata={'Date': None})
    svg = text.getvalue()
    svg = svg[svg.index('<svg') :].replace('#000000', 'currentColor')
    svg = svg.replace('<svg', f'<svg role="img" aria-label="{title}"', 1)
    # Ids are unique in a file, not in a page of several.
    mark = re.sub(r'\W', '', title)
    svg = re.sub(r'(id="|href="#|url\(#)', rf'\g<1>{mark}-', svg)

    def with_table(heads: list[str], rows: Mapping[str, np.ndarray]) -> Plot:
        cells = [
            [label, *(f'{100 * v:.2f}' if v == v else '–' for v in values)]
            for label, values in rows.items()
        ]
        return Plot(title, svg, ['', *heads], cells)

    return with_table
