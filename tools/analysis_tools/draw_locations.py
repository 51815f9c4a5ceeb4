"""Draw the locations that train the regression and the cue (paper, Fig. 3).

    python tools/analysis_tools/draw_locations.py CONFIG CHECKPOINT \
        --out locations.png

Orange points train both; blue crosses are the low-IoU locations in a box that
train the cue alone. Which these are depends on the boxes that the checkpoint
predicts.
"""

import argparse

import numpy as np
import torch
from mmengine.dataset import pseudo_collate

import mmdet_owp.register  # noqa: F401
from mmdet_owp.engine.launch import one_line_errors
from mmdet_owp.visualization import command_line, style
from mmdet_owp.visualization.head_outputs import HeadOutputs
from mmdet_owp.visualization.overlays import draw_locations


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    return command_line.parser(__doc__, num=3).parse_args()


@torch.no_grad()
def training_locations(
    model: torch.nn.Module, data: dict
) -> tuple[np.ndarray, np.ndarray]:
    """Locations of one image, in pixels of the network input.

    Returns:
        tuple[ndarray, ndarray]: (x, y) of the locations that train the
        regression, (n, 2), and of those that train the cue alone, (m, 2).
    """
    head = model.bbox_head
    data = model.data_preprocessor(data, training=True)
    boxes = data['data_samples'][0].gt_instances.bboxes
    with HeadOutputs(model) as outputs:
        head(model.extract_feat(data['inputs']))
    assigned = head.sampler.assign(
        outputs.sizes, head.strides, head.regress_ranges, [boxes]
    )
    points = torch.cat(
        head.prior_generator.grid_priors(outputs.sizes, device=boxes.device)
    )
    inds = assigned.cue >= 0
    trains_both = assigned.regression[inds] >= 0
    in_cue, _ = head.sampler.sample(
        outputs.boxes()[inds], boxes[assigned.cue[inds]], trains_both
    )
    points = points[inds]
    return (
        points[trains_both].cpu().numpy(),
        points[in_cue & ~trains_both].cpu().numpy(),
    )


def draw(args: argparse.Namespace) -> None:
    """Draw the picture."""
    model, dataset = command_line.load(args, train=True, augment=True)
    chosen = command_line.shuffled(dataset, args.seed)[: args.num]
    title = (
        'Orange points train the regression and the cue, blue crosses '
        'the cue alone.'
    )
    with style.new_figure(
        1, args.num, 1.05 * style.WIDTH / args.num, title
    ) as (figure, axes):
        for axis, i in zip(axes[0], chosen):
            item = dataset[int(i)]
            regression, hard = training_locations(
                model, pseudo_collate([item])
            )
            image = item['inputs'].permute(1, 2, 0).numpy()[..., ::-1]
            draw_locations(
                axis,
                image,
                item['data_samples'].gt_instances.bboxes.numpy(),
                regression,
                hard,
            )
            axis.set_title(f'{len(regression)} + {len(hard)} locations')
        style.save(figure, args.out)


if __name__ == '__main__':
    with one_line_errors():
        draw(parse_args())
