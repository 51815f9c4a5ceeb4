"""Make the built-in data: outlined shapes in clutter, in COCO format.

Example:
    python tools/dataset_tools/make_shapes.py --out data/shapes

In the format of LVIS v1, to try its configs:
    python tools/dataset_tools/make_shapes.py --style lvis \
        --out data/lvis_shapes --train 200 --val 40
"""

import argparse
import sys

from tqdm import tqdm

from mmdet_owp.shapes.generator import STYLES, make_shapes


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Make the built-in data: outlined shapes in clutter, base '
        'and novel ones annotated, in COCO format. The same arguments give '
        'the same pixels; a set that is there already is kept.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        '--out', default='data/shapes', help='folder to write to'
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='another seed, another draw'
    )
    parser.add_argument(
        '--train', type=int, default=3500, help='number of training images'
    )
    parser.add_argument(
        '--val', type=int, default=300, help='number of validation images'
    )
    parser.add_argument(
        '--size', type=int, default=128, help='side of the images in pixels'
    )
    parser.add_argument(
        '--style',
        choices=STYLES,
        default='coco',
        help='format of the files; lvis: that of LVIS v1, with its classes',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace a set that was made with other arguments',
    )
    return parser.parse_args()


def main() -> None:
    """Make the data and say what was done."""
    args = parse_args()
    try:
        made = make_shapes(
            args.out,
            seed=args.seed,
            num_train=args.train,
            num_val=args.val,
            size=args.size,
            style=args.style,
            overwrite=args.overwrite,
            progress=lambda numbers: tqdm(numbers, unit='image'),
        )
    except (ValueError, OSError) as error:
        sys.exit(f'make_shapes: {error}')
    what = 'made' if made else 'already there'
    print(
        f'{what}: {args.train} training and {args.val} validation images '
        f'in {args.out}'
    )


if __name__ == '__main__':
    main()
