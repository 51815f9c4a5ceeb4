"""Draw how the scores of proposals are distributed (paper, Fig. 5).

    python tools/analysis_tools/draw_scores.py \
        'FCOS=CONFIG,CHECKPOINT' 'IoU=CONFIG,CHECKPOINT' --out scores.png

A panel is a model and a score that it can rank its proposals by: each cue,
and with a classifier the best class score times it. Counted are the `-k` best
proposals of images drawn at random from the test set, in colours that tell
what they lie on (IoU of at least 0.5).
"""

from __future__ import annotations

import argparse

import numpy as np
from mmengine.utils import track_iter_progress

import mmdet_owp.register  # noqa: F401
from mmdet_owp.datasets.coco_file import read_boxes
from mmdet_owp.engine.launch import one_line_errors
from mmdet_owp.visualization import command_line, style
from mmdet_owp.visualization.overlays import is_found

GROUPS = ('on a base object', 'on a novel object', 'elsewhere')
BINS = np.linspace(0, 1, 51)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = command_line.parser(__doc__, num=200, several=True)
    parser.add_argument(
        '-k', type=int, default=100, help='proposals an image that count'
    )
    return parser.parse_args()


def scores_of_model(
    args: argparse.Namespace, files: command_line.ModelFiles
) -> dict[str, list[np.ndarray]]:
    """Collect the scores of a model's proposals.

    Args:
        args (argparse.Namespace): of the command line.
        files (ModelFiles): the model.

    Returns:
        dict[str, list[ndarray]]: scores by panel title, in the order of
        ``GROUPS``. A proposal on objects of both sides is on the base one.
    """
    model, dataset = command_line.load(args, files)
    novel, base, _ = read_boxes(dataset)
    chosen = command_line.shuffled(dataset, args.seed)[: args.num]
    found: dict[str, list[list]] = {}
    samples = command_line.run(model, dataset, chosen)
    for sample, outputs in track_iter_progress((samples, len(chosen))):
        for name, proposals in outputs.proposals(sample).items():
            boxes = proposals.bboxes[: args.k].cpu().numpy()
            on_base, on_novel = (
                is_found(boxes, objects[sample.img_id])
                for objects in (base, novel)
            )
            group = np.where(on_base, 0, np.where(on_novel, 1, 2))
            scores = proposals.scores[: args.k].cpu().numpy()
            groups = found.setdefault(f'{files.label}: {name}', [[], [], []])
            for i, members in enumerate(groups):
                members.append(scores[group == i])
    print()  # after the bar
    return {
        title: [np.concatenate(members) for members in groups]
        for title, groups in found.items()
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
            axis.hist(
                groups,
                BINS,
                stacked=True,
                color=[*style.SERIES[:2], style.REST],
                label=GROUPS,
            )
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
    with one_line_errors():
        draw(parse_args())
