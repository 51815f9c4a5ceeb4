r"""Merge COCO-format sets into one to train on.

    python tools/dataset_tools/merge_coco.py --out data/merged \
        mine=mine/train.json,mine/images/ others=others.json,others/images/

Classes of the same name become one; images and objects get new ids. The
images are linked to, not copied. Classes that a set has not labeled stay
unlabeled in its images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmdet_owp import cli
from mmdet_owp.datasets.coco_merge import Source, write_merged
from mmdet_owp.errors import writing


def source(text: str) -> Source:
    """Parse ``NAME=ANN.json,IMAGES``, as the ``type`` of an argument."""
    name, paths = cli.labelled(text)
    if len(paths) != 2:
        raise argparse.ArgumentTypeError(f'{text}: must be NAME=ANN,IMAGES')
    return Source(name, *paths)


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        'sets',
        nargs='+',
        type=source,
        metavar='NAME=ANN,IMAGES',
        help='name of a set, its annotation file, and the folder that '
        'file_name is relative to; the first one decides the ids of classes',
    )
    parser.add_argument('--out', required=True, help='folder to write to')
    parser.add_argument('--part', default='train', help='name of the part')
    return parser.parse_args()


def main() -> None:
    """Write the merged part."""
    args = parse_args()
    with cli.report_errors(), writing(args.out):
        path, content = write_merged(args.sets, Path(args.out), args.part)
    print(
        f'{path}: {len(content["images"])} images, '
        f'{len(content["annotations"])} objects, '
        f'{len(content["categories"])} classes'
    )


if __name__ == '__main__':
    main()
