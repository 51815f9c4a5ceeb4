"""Draw novel objects found and missed, and the objectness maps.

    python tools/analysis_tools/draw_proposals.py CONFIG CHECKPOINT \
        --out picture.png

Images come from the config's test set: those with the most novel objects of
`--pool` drawn at random, so that there is something to see.
"""
import argparse
from collections import defaultdict
from collections.abc import Collection

import mmcv
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from mmengine.dataset import pseudo_collate

import mmdet_owp.register  # noqa: F401
from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.engine.launch import one_line_errors
from mmdet_owp.models.dense_heads.owp_fcos_head import objectness_logits
from mmdet_owp.visualization import command_line
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
        help='images drawn at random to choose from')
    parser.add_argument(
        '-k', type=int, default=100, help='proposals an image that count')
    return parser.parse_args()


@torch.no_grad()
def objectness_map(model: torch.nn.Module, data: dict,
                   size: tuple[int, int]) -> np.ndarray:
    """Largest objectness of any level at each pixel, (height, width)."""
    data = model.data_preprocessor(data)
    inputs = data['inputs']
    _, _, cues = model.bbox_head(model.extract_feat(inputs))
    levels = [
        F.interpolate(
            objectness_logits(level).float().sigmoid(),
            inputs.shape[-2:],
            mode='bilinear') for level in cues
    ]
    heat = torch.stack(levels).amax(0)
    height, width = data['data_samples'][0].img_shape[:2]  # without padding
    heat = F.interpolate(heat[..., :height, :width], size, mode='bilinear')
    return heat[0, 0].cpu().numpy()


def boxes_by_image(annotations: list[dict],
                   classes: Collection[int]) -> dict[int, np.ndarray]:
    """Boxes (x1, y1, x2, y2) of the objects of some classes, by image id."""
    boxes = defaultdict(list)
    for a in annotations:
        if a['category_id'] in classes and not a.get('iscrowd'):
            x, y, width, height = a['bbox']
            boxes[a['image_id']].append((x, y, x + width, y + height))
    return defaultdict(
        lambda: np.empty((0, 4)),
        {image_id: np.array(rows) for image_id, rows in boxes.items()})


def main() -> None:
    """Draw the picture."""
    args = parse_args()
    with one_line_errors():
        model, dataset = command_line.load(args, 'test')
    annotations = read_coco(dataset.ann_file)['annotations']
    novel, base = (
        boxes_by_image(annotations,
                       dataset.partition_classes.categories(split))
        for split in ('novel', 'base'))

    rng = np.random.default_rng(args.seed)
    pool = rng.permutation(len(dataset))[:args.pool]
    counts = [len(novel[dataset.get_data_info(i)['img_id']]) for i in pool]
    chosen = pool[np.argsort(counts, kind='stable')[::-1][:args.num]]

    columns = min(args.columns, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, axes = plt.subplots(
        2 * rows, columns, figsize=(3 * columns, 5.2 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for n, i in enumerate(chosen):
        data = pseudo_collate([dataset[int(i)]])
        with torch.no_grad():
            sample = model.test_step(data)[0]
        image = mmcv.imread(sample.img_path, channel_order='rgb')
        row, column = 2 * (n // columns), n % columns
        found, of = draw_found_and_missed(
            axes[row, column], image, novel[sample.img_id],
            sample.proposals.bboxes[:args.k].cpu().numpy(),
            base[sample.img_id])
        axes[row, column].set_title(f'{found} of {of} novel found', size=9)
        draw_heat_map(axes[row + 1, column], image,
                      objectness_map(model, data, image.shape[:2]))
    figure.suptitle(
        f'Novel objects found (green) and missed (red) by {args.k} proposals '
        'at IoU 0.5; base objects dotted. Below: objectness.', size=10)
    figure.tight_layout()
    figure.savefig(args.out, dpi=110)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    main()
