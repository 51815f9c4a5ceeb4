"""Draw the locations that train the regression and the cue (paper, Fig. 3).

    python tools/analysis_tools/draw_locations.py CONFIG CHECKPOINT \
        --out locations.png

Red points train both; blue crosses are the low-IoU locations in a box that
train the cue alone. Which these are depends on the boxes that the checkpoint
predicts.
"""
import argparse

import numpy as np
import torch
from matplotlib import pyplot as plt
from mmengine.dataset import pseudo_collate

import mmdet_owp.register  # noqa: F401
from mmdet_owp.engine.launch import one_line_errors
from mmdet_owp.visualization import command_line
from mmdet_owp.visualization.overlays import draw_locations


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    return command_line.parser(__doc__, num=3).parse_args()


@torch.no_grad()
def training_locations(model: torch.nn.Module,
                       data: dict) -> tuple[np.ndarray, np.ndarray]:
    """Locations of one image, in pixels of the network input.

    Returns:
        tuple[ndarray, ndarray]: (x, y) of the locations that train the
        regression, (n, 2), and of those that train the cue alone, (m, 2).
    """
    head = model.bbox_head
    data = model.data_preprocessor(data, training=True)
    boxes = data['data_samples'][0].gt_instances.bboxes
    # In test mode the head gives distances in pixels.
    _, distances, _ = head(model.extract_feat(data['inputs']))
    sizes = [level.shape[-2:] for level in distances]
    assigned = head.sampler.assign(sizes, head.strides, head.regress_ranges,
                                   [boxes])
    points = torch.cat(
        head.prior_generator.grid_priors(sizes, device=boxes.device))
    distances = torch.cat([d[0].flatten(1).T for d in distances])
    inds = assigned.cue >= 0
    trains_both = assigned.regression[inds] >= 0
    in_cue, _ = head.sampler.sample(
        head.bbox_coder.decode(points[inds], distances[inds]),
        boxes[assigned.cue[inds]], trains_both)
    points = points[inds]
    return (points[trains_both].cpu().numpy(),
            points[in_cue & ~trains_both].cpu().numpy())


def main() -> None:
    """Draw the picture."""
    args = parse_args()
    with one_line_errors():
        model, dataset = command_line.load(args, 'train')
    chosen = np.random.default_rng(args.seed).permutation(
        len(dataset))[:args.num]
    figure, axes = plt.subplots(
        1, args.num, figsize=(4 * args.num, 3.8), squeeze=False)
    for axis, i in zip(axes[0], chosen):
        item = dataset[int(i)]
        regression, hard = training_locations(model, pseudo_collate([item]))
        image = item['inputs'].permute(1, 2, 0).numpy()[..., ::-1]
        draw_locations(axis, image,
                       item['data_samples'].gt_instances.bboxes.numpy(),
                       regression, hard)
        axis.set_title(f'{len(regression)} + {len(hard)} locations', size=9)
    figure.suptitle(
        'Red points train the regression and the cue, blue crosses the cue '
        'alone.', size=10)
    figure.tight_layout()
    figure.savefig(args.out, dpi=120)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    main()
