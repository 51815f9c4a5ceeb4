r"""Draw objectness maps of several models side by side (paper, Fig. 7).

    python tools/analysis_tools/draw_objectness.py \
        'center=CONFIG,CHECKPOINT' 'all=CONFIG,CHECKPOINT' --out maps.png

Rows are random images of the first model's test set. Columns are the scores
of each model: each cue, their mean and, with a classifier, the highest class
score times that. A pixel shows the maximum over the levels.
"""

from __future__ import annotations

import argparse

import mmcv
import numpy as np

from mmdet_owp import cli
from mmdet_owp.commands import drawing
from mmdet_owp.engine.head_outputs import score_map
from mmdet_owp.errors import UserError
from mmdet_owp.visualization import style
from mmdet_owp.visualization.overlays import draw_heat_map


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    return drawing.drawing_parser(__doc__, num=3, several=True).parse_args()


def maps_of_model(
    args: argparse.Namespace, files: drawing.ModelFiles, image_ids: list
) -> tuple[list[str], dict[str, list[np.ndarray]]]:
    """Compute the score maps of one model.

    An empty list of ``image_ids`` is filled with ``args.num`` of them.

    Returns:
        tuple: paths of the images, and their maps by column title.
    """
    model, dataset = drawing.load(args, files)
    ids = [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]
    if not image_ids:
        chosen = drawing.shuffled(dataset, args.seed)[: args.num]
        image_ids.extend(ids[i] for i in chosen)
    position = {image_id: i for i, image_id in enumerate(ids)}
    missing = [i for i in image_ids if i not in position]
    if missing:
        raise UserError(
            f'{files.config}: image {missing[0]} of the first model is not in '
            'its test set; give models that are tested on the same images'
        )
    maps: dict[str, list] = {}
    paths = []
    chosen = [position[i] for i in image_ids]
    for sample, outputs in drawing.run(model, dataset, chosen):
        paths.append(sample.img_path)
        for name, levels in outputs.scores().items():
            maps.setdefault(f'{files.label}\n{name}', []).append(
                score_map(levels, outputs.head.strides, sample)
            )
    return paths, maps


def draw(args: argparse.Namespace) -> None:
    """Draw the picture."""
    image_ids: list = []
    maps: dict[str, list] = {}
    for files in args.models:
        paths, maps_of_one = maps_of_model(args, files, image_ids)
        maps.update(maps_of_one)
    columns = len(maps) + 1
    with style.new_figure(len(paths), columns, style.WIDTH / columns) as (
        figure,
        axes,
    ):
        for row, path in enumerate(paths):
            image = mmcv.imread(path, channel_order='rgb')
            style.show_image(axes[row, 0], image)
            for axis, heat in zip(axes[row, 1:], maps.values()):
                drawn = draw_heat_map(axis, image, heat[row])
        for axis, title in zip(axes[0, 1:], maps):
            axis.set_title(title)
        figure.colorbar(drawn, ax=list(axes[:, -1]), shrink=0.8, label='score')
        style.save(figure, args.out)


if __name__ == '__main__':
    args = parse_args()
    with cli.report_errors():
        draw(args)
