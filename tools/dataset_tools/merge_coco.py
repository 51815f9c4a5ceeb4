r"""Merge sets in COCO format, or PASCAL VOC's, into one to train on.

    python tools/dataset_tools/merge_coco.py --out data/merged \
        mine=mine/train.json,mine/images/ voc=data/VOCdevkit

Classes of the same name become one; images and objects get new ids. The
images are linked to, not copied. Classes that a set has not labeled stay
unlabeled in its images. Of PASCAL VOC, the images of
ImageSets/Main/trainval.txt in VOC2007 and VOC2012 are taken; one of the two is
enough.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from mmdet_owp import cli
from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.datasets.coco_merge import Source, write_merged
from mmdet_owp.errors import writing

VOC_CONFIG = 'configs/_base_/datasets/coco_voc.py'


def source(text: str) -> Source:
    """Parse ``NAME=ANN,IMAGES`` or ``NAME=VOCDEVKIT``, as an argument."""
    name, paths = cli.labelled(text)
    if len(paths) > 2:
        raise argparse.ArgumentTypeError(
            f'{text}: must be NAME=ANN,IMAGES or NAME=VOCDEVKIT'
        )
    read = read_coco if len(paths) == 2 else read_devkit
    return Source(name, paths[-1], partial(read, paths[0]))


def read_devkit(root: str) -> dict:
    """Read PASCAL VOC as the config does that trains on it."""
    from mmengine.config import Config

    from mmdet_owp.datasets.voc_devkit import read_voc

    config = Config.fromfile(Path(__file__).parents[2] / VOC_CONFIG)
    return read_voc(root, config.voc.dataset.datasets)


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        'sets',
        nargs='+',
        type=source,
        metavar='NAME=PATHS',
        help='name of a set, and its annotation file and the folder that '
        'file_name is relative to (ANN,IMAGES), or the folder VOCdevkit of '
        'PASCAL VOC; the first set decides the ids of classes',
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
