r"""Draw the locations that train the regression and the cue (paper, Fig. 3).

    python tools/analysis_tools/draw_locations.py CONFIG CHECKPOINT \
        --out locations.png

Orange points train both. Blue crosses are locations inside a box that train
the cue only, because the box they predict has a low IoU; which these are
depends on the checkpoint.
"""

from __future__ import annotations

import argparse

import torch
from mmengine.dataset import pseudo_collate

from mmdet_owp import cli
from mmdet_owp.commands import drawing
from mmdet_owp.engine.head_outputs import HeadOutputs
from mmdet_owp.visualization import style
from mmdet_owp.visualization.overlays import draw_locations


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    return drawing.drawing_parser(__doc__, num=3).parse_args()


@torch.no_grad()
def draw(args: argparse.Namespace) -> None:
    """Draw the picture."""
    model, dataset = drawing.load(args, train=True, augment=True)
    outputs = HeadOutputs(model)
    chosen = drawing.shuffled(dataset, args.seed)[: args.num]
    columns = len(chosen)
    title = (
        'Orange points train the regression and the cue, blue crosses '
        'the cue only.'
    )
    with style.new_figure(1, columns, 1.05 * style.WIDTH / columns, title) as (
        figure,
        axes,
    ):
        for axis, i in zip(axes[0], chosen):
            item = dataset[int(i)]
            data = model.data_preprocessor(pseudo_collate([item]), True)
            boxes = data['data_samples'][0].gt_instances.bboxes
            with outputs:
                outputs.head(model.extract_feat(data['inputs']))
            both, cue_only = outputs.training_points(boxes)
            draw_locations(
                axis,
                item['inputs'].permute(1, 2, 0).numpy()[..., ::-1],
                boxes.cpu().numpy(),
                both.cpu().numpy(),
                cue_only.cpu().numpy(),
            )
            axis.set_title(f'{len(both)} + {len(cue_only)} locations')
        style.save(figure, args.out)


if __name__ == '__main__':
    args = parse_args()
    with cli.report_errors():
        draw(args)
