"""Draw recall over the number of proposals and per class: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmdet_owp.recall import Evaluation
from mmdet_owp.visualization import style
from mmdet_owp.visualization.curves import draw_curves


def draw_recall(
    path: Path,
    evaluations: Mapping[str, Evaluation],
    names: Mapping[int, str],
    *,
    title: str,
    k: int,
    max_k: int,
    num_classes: int,
) -> None:
    """Draw AR@k as a curve over k and, below, as bars per class.

    Args:
        path (Path): picture to write.
        evaluations (dict[str, Evaluation]): by label, of the same objects.
        names (dict[int, str]): of the evaluated classes, by category id.
        title (str): of the picture.
        k (int): proposals per image for the classes.
        max_k (int): end of the curve.
        num_classes (int): draw this many classes, those with most objects.
    """
    first = next(iter(evaluations.values()))
    objects = first.ground_truth.category[first.wanted['all']]
    ids, counts = np.unique(objects, return_counts=True)
    ids = ids[np.argsort(-counts, kind='stable')][:num_classes].tolist()
    with style.new_figure(2, 1, 3.4, title) as (figure, axes):
        curves, bars = axes[:, 0]
        width = 0.8 / len(evaluations)
        for i, (label, evaluation) in enumerate(evaluations.items()):
            recalls = 100 * evaluation.average_recalls(max_k)
            draw_curves(
                curves,
                [dict(enumerate(recalls.tolist(), 1))],
                dict(style.series(i), label=label),
            )
            per_class = evaluation.average_recall_by_class(k)
            bars.bar(
                np.arange(len(ids)) + (i + 0.5) * width - 0.4,
                [100 * per_class[category] for category in ids],
                width,
                color=style.series(i)['color'],
            )
        curves.set_xscale('log')
        curves.set_xlim(1, max_k)
        curves.xaxis.set_major_formatter('{x:g}')
        curves.set_xlabel('k, proposals per image')
        curves.set_ylabel('AR@k (%)')
        curves.legend()
        bars.set_xticks(range(len(ids)), [names[i] for i in ids], rotation=90)
        bars.set_xlim(-0.6, len(ids) - 0.4)
        bars.grid(axis='x', visible=False)
        bars.set_ylabel(f'AR@{k} (%)')
        style.save(figure, path)
