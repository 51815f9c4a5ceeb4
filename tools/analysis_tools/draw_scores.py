r"""Draw how the scores of proposals are distributed (paper, Fig. 5).

    python tools/analysis_tools/draw_scores.py \
        'FCOS=CONFIG,CHECKPOINT' 'IoU=CONFIG,CHECKPOINT' --out scores.png

A panel shows a score that a model can rank its proposals by: each cue, their
mean and, with a classifier, the highest class score times that. It counts the
`-k` best proposals of random test images, colored by the objects that they
overlap with an IoU of at least 0.5.
"""

from __future__ import annotations

import argparse

import numpy as np
from mmengine.utils import track_iter_progress

from mmdet_owp import cli
from mmdet_owp.commands import drawing
from mmdet_owp.datasets.coco_file import read_boxes
from mmdet_owp.visualization import style
from mmdet_owp.visualization.overlays import is_found

GROUPS = ('on a base object', 'on a novel object', 'elsewhere')
BINS = np.linspace(0, 1, 51)


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = drawing.drawing_parser(__doc__, num=200, several=True)
    number = 'proposals per image that count'
    parser.add_argument('-k', type=cli.positive, default=100, help=number)
    return parser.parse_args()


def scores_of_model(
    args: argparse.Namespace, files: drawing.ModelFiles
) -> dict[str, list[np.ndarray]]:
    """Collect the scores of a model's proposals by panel title.

    Each panel has one array for each of ``GROUPS``. A proposal on a base and
    a novel object is in the first.
    """
    model, dataset = drawing.load(args, files)
    novel, base, _ = read_boxes(dataset)
    chosen = drawing.shuffled(dataset, args.seed)[: args.num]
    panels: dict[str, list[list]] = {}
    samples = drawing.run(model, dataset, chosen)
    for sample, outputs in track_iter_progress((samples, len(chosen))):
        for name, proposals in outputs.proposals(sample).items():
            boxes = proposals.bboxes[: args.k].cpu().numpy()
            on_base, on_novel = (
                is_found(boxes, objects[sample.img_id])
                for objects in (base, novel)
            )
            group = np.where(on_base, 0, np.where(on_novel, 1, 2))
            scores = proposals.scores[: args.k].cpu().numpy()
            panel = panels.setdefault(f'{files.label}: {name}', [[], [], []])
            for i, members in enumerate(panel):
                members.append(scores[group == i])
    print()  # after the progress bar
    return {
        title: [np.concatenate(members) for members in panel]
        for title, panel in panels.items()
    }


def draw(args: argparse.Namespace) -> None:
    """Draw the picture."""
    panels = {}
    for files in args.models:
        panels.update(scores_of_model(args, files))
    title = (
        f'Scores of the {args.k} best proposals of each of {args.num} images'
    )
    with style.new_figure(1, len(panels), 3.2, title) as (figure, axes):
        for axis, (name, groups) in zip(axes[0], panels.items()):
            colors = [*style.SERIES[:2], style.REST]
            axis.hist(groups, BINS, stacked=True, color=colors, label=GROUPS)
            median = np.median(np.concatenate(groups))
            axis.set_title(f'{name}\nmedian {median:.2f}')
            axis.set_xlim(0, 1)
            axis.set_xlabel('score')
        axes[0, 0].set_ylabel('proposals')
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(),
            loc='outside lower center',
            ncols=len(GROUPS),
        )
        style.save(figure, args.out)


if __name__ == '__main__':
    args = parse_args()
    with cli.report_errors():
        draw(args)
