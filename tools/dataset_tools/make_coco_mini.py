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
    for name, default, text in (
        (
            '--coco',
            'data/coco',
            'folder with annotations/instances_{train,val}2017.json, '
            'train2017/ and val2017/',
        ),
        ('--out', 'data/coco_mini', 'folder to write to'),
        ('--train', 2400, 'number of training images'),
        ('--val', 500, 'number of validation images'),
        (
            '--longest',
            384,
            'longest side in pixels; smaller images are not enlarged',
        ),
        ('--quality', 90, 'quality of WebP, 1 to 100'),
        ('--seed', 0, 'random seed of the choice'),
    ):
        parser.add_argument(
            name,
            type=type(default),
            default=default,
            help=f'{text} (default: %(default)s)',
        )
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
