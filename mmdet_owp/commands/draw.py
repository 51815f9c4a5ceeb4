r"""Draw novel objects found and missed, and the objectness maps.

    python tools/analysis_tools/draw_proposals.py CONFIG CHECKPOINT \
        --out picture.png

Images are those of the config's test set with the most novel objects, chosen
from `--pool` random ones.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

import mmcv

from mmdet_owp import cli
from mmdet_owp.commands import drawing
from mmdet_owp.datasets.coco_file import read_boxes
from mmdet_owp.engine.head_outputs import score_map
from mmdet_owp.visualization import style
from mmdet_owp.visualization.overlays import (
    draw_found_and_missed,
    draw_heat_map,
)


def parser() -> ArgumentParser:
    """Return the argument parser."""
    p = drawing.drawing_parser(__doc__, num=4, pool=True)
    p.add_argument(
        '--columns',
        type=cli.positive,
        default=4,
        help='images side by side (default: 4)',
    )
    p.add_argument(
        '-k',
        type=cli.positive,
        default=100,
        help='proposals per image that count (default: 100)',
    )
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the picture."""
    args = parser().parse_args(argv)
    with cli.report_errors():
        _draw(args)


def _draw(args: Namespace) -> None:
    model, dataset = drawing.load(args)
    novel, base, _ = read_boxes(dataset)
    chosen = drawing.images_with_most_boxes(args, dataset, novel)
    columns = min(args.columns, len(chosen))
    rows = -(-len(chosen) // columns)
    title = (
        f'Novel objects found (solid green) and missed (dashed orange) '
        f'by {args.k} proposals at IoU 0.5;\nbase objects dotted. '
        'Below: objectness.'
    )
    with style.new_figure(
        2 * rows, columns, 1.1 * style.WIDTH / columns, title
    ) as (figure, axes):
        for axis in axes.flat:
            axis.set_axis_off()
        predictions = drawing.run(model, dataset, chosen)
        for n, (sample, outputs) in enumerate(predictions):
            image = mmcv.imread(sample.img_path, channel_order='rgb')
            row, column = 2 * (n // columns), n % columns
            num_found, num_objects = draw_found_and_missed(
                axes[row, column],
                image,
                novel[sample.img_id],
                sample.proposals.bboxes[: args.k].cpu().numpy(),
                base[sample.img_id],
            )
            axes[row, column].set_title(
                f'{num_found} of {num_objects} novel found'
            )
            heat = score_map(
                outputs.objectness(), outputs.head.strides, sample
            )
            draw_heat_map(axes[row + 1, column], image, heat)
        style.save(figure, args.out)
