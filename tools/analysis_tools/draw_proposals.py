"""Draw novel objects found and missed, and the objectness maps.

    python tools/analysis_tools/draw_proposals.py CONFIG CHECKPOINT \
        --out picture.png

Images come from the config's test set: those with the most novel objects of
`--pool` drawn at random, so that there is something to see.
"""

import argparse

import mmcv

import mmdet_owp.register  # noqa: F401
from mmdet_owp.datasets.coco_file import read_boxes
from mmdet_owp.engine.launch import one_line_errors
from mmdet_owp.visualization import command_line, style
from mmdet_owp.visualization.head_outputs import score_map
from mmdet_owp.visualization.overlays import (
    draw_found_and_missed,
    draw_heat_map,
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = command_line.parser(__doc__, num=4)
    parser.add_argument('--columns', type=int, default=4)
    parser.add_argument(
        '--pool',
        type=int,
        default=60,
        help='images drawn at random to choose from',
    )
    parser.add_argument(
        '-k', type=int, default=100, help='proposals an image that count'
    )
    return parser.parse_args()


def draw(args: argparse.Namespace) -> None:
    """Draw the picture."""
    model, dataset = command_line.load(args)
    novel, base, _ = read_boxes(dataset)
    pool = command_line.shuffled(dataset, args.seed)[: args.pool]
    chosen = command_line.richest(dataset, novel, pool, args.num)

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
        found = command_line.run(model, dataset, chosen)
        for n, (sample, outputs) in enumerate(found):
            image = mmcv.imread(sample.img_path, channel_order='rgb')
            row, column = 2 * (n // columns), n % columns
            hits, of = draw_found_and_missed(
                axes[row, column],
                image,
                novel[sample.img_id],
                sample.proposals.bboxes[: args.k].cpu().numpy(),
                base[sample.img_id],
            )
            axes[row, column].set_title(f'{hits} of {of} novel found')
            draw_heat_map(
                axes[row + 1, column],
                image,
                score_map(
                    outputs.objectness(), model.bbox_head.strides, sample
                ),
            )
        style.save(figure, args.out)


if __name__ == '__main__':
    with one_line_errors():
        draw(parse_args())
