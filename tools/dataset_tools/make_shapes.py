"""Make the built-in data: outlined shapes in clutter, in COCO format.

    python tools/dataset_tools/make_shapes.py --out data/shapes

In the format of LVIS v1, to try the LVIS configs:

    python tools/dataset_tools/make_shapes.py --style lvis \
        --out data/lvis_shapes --train 200 --val 40

Base and novel objects are annotated. The same arguments give the same pixels;
a set that is already there is kept.
"""

from __future__ import annotations

import argparse

from tqdm import tqdm

from mmdet_owp import cli
from mmdet_owp.errors import writing
from mmdet_owp.shapes.dataset import STYLES, make_shapes


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    add = parser.add_argument
    add('--out', default='data/shapes', help='output folder')
    add('--seed', type=int, default=0, help='random seed')
    add('--train', type=int, default=3500, help='number of training images')
    add('--val', type=int, default=300, help='number of validation images')
    add('--size', type=int, default=128, help='side of the images in pixels')
    formats = 'format of the files; lvis: LVIS v1 with its classes'
    add('--style', choices=STYLES, default='coco', help=formats)
    overwrite = 'replace a set made with other arguments'
    add('--overwrite', action='store_true', help=overwrite)
    return parser.parse_args()


def main() -> None:
    """Make the data."""
    args = parse_args()
    with cli.report_errors(), writing(args.out):
        is_new = make_shapes(
            args.out,
            seed=args.seed,
            num_train=args.train,
            num_val=args.val,
            size=args.size,
            style=args.style,
            overwrite=args.overwrite,
            progress=lambda indices: tqdm(indices, unit='image'),
        )
    print(
        f'{"made" if is_new else "already there"}: {args.train} training and '
        f'{args.val} validation images in {args.out}'
    )


if __name__ == '__main__':
    main()
