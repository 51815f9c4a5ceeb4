r"""Cut a small set of small images from COCO 2017, for quick experiments.

    python tools/dataset_tools/make_coco_mini.py --coco data/coco \
        --out data/coco_mini

Images are drawn at random from those with objects, shrunk and saved as WebP;
boxes of all classes are kept, masks are not. The same arguments choose the
same images.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from tqdm import tqdm

from mmdet_owp import cli
from mmdet_owp.datasets.coco_subset import cut_part
from mmdet_owp.errors import writing


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    add = parser.add_argument
    add(
        '--coco',
        default='data/coco',
        help='folder with annotations/instances_{train,val}2017.json, '
        'train2017/ and val2017/',
    )
    add('--out', default='data/coco_mini', help='folder to write to')
    add('--train', type=int, default=2400, help='number of training images')
    add('--val', type=int, default=500, help='number of validation images')
    longest = 'longest side in pixels; smaller images are not enlarged'
    add('--longest', type=int, default=384, help=longest)
    add('--quality', type=int, default=90, help='quality of WebP, 1 to 100')
    add('--seed', type=int, default=0, help='random seed of the choice')
    return parser.parse_args()


def main() -> None:
    """Cut both parts."""
    args = parse_args()
    with cli.report_errors(), writing(args.out):
        for part in ('train', 'val'):
            path, content = cut_part(
                Path(args.coco),
                Path(args.out),
                part,
                getattr(args, part),
                seed=args.seed,
                longest=args.longest,
                quality=args.quality,
                progress=partial(tqdm, desc=part, unit='image'),
            )
            print(
                f'{path}: {len(content["images"])} images, '
                f'{len(content["annotations"])} objects'
            )


if __name__ == '__main__':
    main()
