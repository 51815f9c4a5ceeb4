r"""Draw the background that unknown-object masking masks (paper, Fig. 4).

    python tools/analysis_tools/draw_masking.py CONFIG CHECKPOINT \
        --threshold 0.95 --out masking.png

The model needs an OWPFCOSHead; it may be trained with masking or without.
Images are the training images with the most unlabeled (novel) objects, chosen
from `--pool` random ones and prepared as in a test. Yellow boxes are the
ground truth, dotted ones unlabeled. Each masked location is a blue square as
wide as the stride of its level: in the first row single locations (`pixel`),
in the second the boxes that they predict (`area`).
"""

from __future__ import annotations

import argparse

import mmcv
import numpy as np
import torch
from matplotlib.axes import Axes
from mmdet.structures import DetDataSample

from mmdet_owp import cli
from mmdet_owp.commands import drawing
from mmdet_owp.datasets.coco_file import SideBoxes, read_boxes
from mmdet_owp.engine.head_outputs import HeadOutputs, score_map
from mmdet_owp.models.task_modules.unknown_masking import UnknownMasking
from mmdet_owp.visualization import style
from mmdet_owp.visualization.overlays import draw_masked


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = drawing.drawing_parser(__doc__, num=4, pool=True)
    threshold = 'objectness above which background is masked'
    parser.add_argument(
        '--threshold', type=float, default=0.95, help=threshold
    )
    areas = 'also draw the areas that are left after NMS'
    parser.add_argument('--nms', type=float, metavar='IOU', help=areas)
    return parser.parse_args()


def draw_panel(
    axis: Axes,
    name: str,
    masking: UnknownMasking,
    outputs: HeadOutputs,
    sample: DetDataSample,
    objects: SideBoxes,
) -> None:
    """Draw the masked background of the image of a sample.

    ``objects`` are those of all images. Base objects are the ground truth,
    novel objects are unlabeled.
    """
    novel, base, base_crowd = (boxes[sample.img_id] for boxes in objects)
    scale = np.tile(sample.scale_factor, 2)
    scaled = [
        torch.as_tensor(boxes * scale).float().to(outputs.levels[1][0].device)
        for boxes in (base, base_crowd, novel)
    ]
    masked, background = outputs.masked_background(masking, *scaled[:2])
    image = mmcv.imread(sample.img_path, channel_order='rgb')
    squares = score_map(
        outputs.unflatten(masked), outputs.head.strides, sample, mode='nearest'
    )
    draw_masked(axis, image, squares > 0, base, novel)
    num_masked = int(masked.sum())
    if not num_masked:
        axis.set_title(f'{name}: nothing')
        return
    share = num_masked / int(background.sum())
    on_novel = int((masked & outputs.covered(scaled[2])).sum()) / num_masked
    axis.set_title(
        f'{name}: {share:.1%} of background\n{on_novel:.0%} of it in dotted '
        'boxes'
    )


def draw(args: argparse.Namespace) -> None:
    """Draw the picture."""
    maskings = {
        mode: UnknownMasking(args.threshold, mode=mode)
        for mode in ('pixel', 'area')
    }
    if args.nms is not None:
        nms = dict(type='nms', iou_threshold=args.nms)
        maskings['area after NMS'] = UnknownMasking(
            args.threshold, mode='area', nms=nms
        )
    model, dataset = drawing.load(args, train=True)
    objects = read_boxes(dataset)
    chosen = drawing.images_with_most_boxes(args, dataset, objects.novel)
    title = (
        f'Blue: background masked above an objectness of '
        f'{args.threshold:g}. Yellow: labeled, dotted: unlabeled objects.'
    )
    with style.new_figure(
        len(maskings), len(chosen), 1.2 * style.WIDTH / len(chosen), title
    ) as (figure, axes):
        predictions = drawing.run(model, dataset, chosen)
        for column, (sample, outputs) in zip(axes.T, predictions):
            for axis, (name, masking) in zip(column, maskings.items()):
                draw_panel(axis, name, masking, outputs, sample, objects)
        style.save(figure, args.out)


if __name__ == '__main__':
    args = parse_args()
    with cli.report_errors():
        draw(args)
