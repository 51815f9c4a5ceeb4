"""Draw objectness maps of several models side by side (paper, Fig. 7).

    python tools/analysis_tools/draw_objectness.py \
        'centre=CONFIG,CHECKPOINT' 'all=CONFIG,CHECKPOINT' --out maps.png

A row is an image of the first model's test set, drawn at random; a column is
a score of a model: each of its cues, and with a classifier the best class
score times them. A pixel shows the highest score of any level.
"""

import argparse

import mmcv

import mmdet_owp.register  # noqa: F401
from mmdet_owp.engine.launch import one_line_errors
from mmdet_owp.visualization import command_line, style
from mmdet_owp.visualization.head_outputs import score_map
from mmdet_owp.visualization.overlays import draw_heat_map


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    return command_line.parser(__doc__, num=3, several=True).parse_args()


def maps_of_model(
    args: argparse.Namespace, files: command_line.ModelFiles, image_ids: list
) -> tuple[list, list, dict]:
    """Compute the score maps of one model.

    Args:
        args (argparse.Namespace): of the command line.
        files (ModelFiles): the model.
        image_ids (list): images; an empty list is filled with ``args.num``.

    Returns:
        tuple: paths of the images, and by column title their maps.

    Raises:
        ValueError: in one line, if its test set lacks one of the images.
    """
    model, dataset = command_line.load(args, files)
    ids = [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]
    if not image_ids:
        chosen = command_line.shuffled(dataset, args.seed)[: args.num]
        image_ids.extend(ids[i] for i in chosen)
    position = {image_id: i for i, image_id in enumerate(ids)}
    maps, paths = {}, []
    missing = [i for i in image_ids if i not in position]
    if missing:
        raise ValueError(
            f'{files.config}: image {missing[0]} of the first '
            'model is not in its test set; give models that are '
            'tested on the same images'
        )
    chosen = [position[i] for i in image_ids]
    for sample, outputs in command_line.run(model, dataset, chosen):
        paths.append(sample.img_path)
        for name, levels in outputs.scores().items():
            maps.setdefault(f'{files.label}\n{name}', []).append(
                score_map(levels, model.bbox_head.strides, sample)
            )
    return paths, maps


def draw(args: argparse.Namespace) -> None:
    """Draw the picture."""
    image_ids, maps = [], {}
    for files in args.models:
        paths, found = maps_of_model(args, files, image_ids)
        maps.update(found)
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
    with one_line_errors():
        draw(parse_args())
