"""Draw the background that unknown masking takes out (paper, Fig. 4).

    python tools/analysis_tools/draw_masking.py CONFIG CHECKPOINT \
        --threshold 0.95 --out masking.png

The model may be any with an OWPFCOSHead, trained with masking or not. Images
are training images, as the test prepares them: of `--pool` drawn at random
those with the most unlabelled (novel) objects, which are dotted; yellow boxes
are the ground truth. Each masked location is a blue square as wide as the
stride of its level: above for single locations (`pixel`), below for the boxes
they predict (`area`).
"""

from __future__ import annotations

import argparse

import mmcv
import numpy as np
import torch
from mmdet.structures import DetDataSample

import mmdet_owp.register  # noqa: F401
from mmdet_owp.datasets.coco_file import SideBoxes, read_boxes
from mmdet_owp.engine.launch import one_line_errors
from mmdet_owp.models.task_modules.locations import covered_locations
from mmdet_owp.models.task_modules.unknown_masking import (
    MaskingInputs,
    UnknownMasking,
)
from mmdet_owp.visualization import command_line, style
from mmdet_owp.visualization.head_outputs import HeadOutputs, score_map
from mmdet_owp.visualization.overlays import draw_masked


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = command_line.parser(__doc__, num=4)
    parser.add_argument(
        '--threshold',
        type=float,
        default=0.95,
        help='objectness above which background is masked (default: 0.95)',
    )
    parser.add_argument(
        '--nms',
        type=float,
        metavar='IOU',
        help='also draw the areas that are left after NMS',
    )
    parser.add_argument(
        '--pool',
        type=int,
        default=60,
        help='images drawn at random to choose from',
    )
    return parser.parse_args()


def masked_background(
    masking: UnknownMasking,
    outputs: HeadOutputs,
    sample: DetDataSample,
    boxes: SideBoxes,
) -> tuple[np.ndarray, float, float]:
    """Mask the background of one image.

    Args:
        masking (UnknownMasking): chooses the locations.
        outputs (HeadOutputs): of the image.
        sample (DetDataSample): likewise.
        boxes (SideBoxes): of the image alone. Base objects are the ground
            truth, crowds of them no background, novel objects unlabelled.

    Returns:
        tuple[ndarray, float, float]: what is masked, (H, W) bool; the share
        of the background locations that is; and the share of these inside of
        an unlabelled object, NaN where nothing is masked.
    """
    head, sizes = outputs.head, outputs.sizes
    objectness = torch.cat([o.flatten() for o in outputs.objectness()])
    scale = np.tile(sample.scale_factor, 2)

    def covered(boxes: np.ndarray) -> torch.Tensor:
        boxes = torch.as_tensor(boxes * scale, device=objectness.device)
        return covered_locations(sizes, head.strides, [boxes.float()])

    in_object = covered(boxes.base)
    outside = ~in_object
    if head.sampler.ignore_crowd:
        outside &= ~covered(boxes.base_crowd)
    masked = masking.mask(
        outside,
        MaskingInputs(
            objectness, in_object, outputs.boxes(), sizes, head.strides
        ),
    )
    levels = masked.split([h * w for h, w in sizes])
    levels = [level.view(1, *size) for level, size in zip(levels, sizes)]
    drawn = score_map(levels, head.strides, sample, mode='nearest') > 0
    on_object = (masked & covered(boxes.novel)).sum() / masked.sum()
    return drawn, float(masked.sum() / outside.sum()), float(on_object)


def draw(args: argparse.Namespace) -> None:
    """Draw the picture."""
    losses = {
        mode: UnknownMasking(args.threshold, mode=mode)
        for mode in ('pixel', 'area')
    }
    if args.nms is not None:
        losses['area after NMS'] = UnknownMasking(
            args.threshold,
            mode='area',
            nms=dict(type='nms', iou_threshold=args.nms),
        )
    model, dataset = command_line.load(args, train=True)
    objects = read_boxes(dataset)
    pool = command_line.shuffled(dataset, args.seed)[: args.pool]
    chosen = command_line.richest(dataset, objects.novel, pool, args.num)

    title = (
        f'Blue: background masked above an objectness of '
        f'{args.threshold:g}. Yellow: labelled, dotted: unlabelled '
        'objects.'
    )
    with style.new_figure(
        len(losses), len(chosen), 1.2 * style.WIDTH / len(chosen), title
    ) as (figure, axes):
        found = command_line.run(model, dataset, chosen)
        for column, (sample, outputs) in enumerate(found):
            image = mmcv.imread(sample.img_path, channel_order='rgb')
            boxes = SideBoxes(*(b[sample.img_id] for b in objects))
            for axis, (name, loss) in zip(axes[:, column], losses.items()):
                masked, share, on_object = masked_background(
                    loss, outputs, sample, boxes
                )
                draw_masked(axis, image, masked, boxes.base, boxes.novel)
                axis.set_title(
                    f'{name}: '
                    + (
                        f'{share:.1%} of background\n{on_object:.0%} of it in '
                        'dotted boxes'
                        if share
                        else 'nothing'
                    )
                )
        style.save(figure, args.out)


if __name__ == '__main__':
    with one_line_errors():
        draw(parse_args())
