r"""Evaluate proposals that need no learning, as a baseline.

A data set is worth training on only if these are far below a trained
proposer. `random` draws boxes with the sizes and positions of the base boxes
of the training images; `regions` takes the boxes of connected regions of
similar color. Printed is the recall of novel objects (drop-base).

    python tools/analysis_tools/trivial_proposals.py \
        data/shapes/annotations/instances_train.json \
        data/shapes/annotations/instances_val.json \
        --images data/shapes/val --partition shapes --method regions
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mmdet_owp import cli
from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.errors import UserError, check_writable, writing
from mmdet_owp.evaluation.file_evaluation import AnnotationFile
from mmdet_owp.evaluation.proposal_files import ProposalRows
from mmdet_owp.evaluation.trivial_proposals import random_boxes, region_boxes


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    add = parser.add_argument
    add('ann_train', help='COCO file of the training images')
    add('ann_val', help='COCO file of the evaluation images')
    add('--images', help='folder of the evaluation images (for regions)')
    add('--method', choices=('random', 'regions'), required=True)
    partition = 'name of a partition, or the base classes'
    add('--partition', default='shapes', help=partition)
    add('--number', type=int, default=300, help='proposals per image')
    add('--seed', type=int, default=0, help='seed of random')
    add('--out', help='write the proposals as COCO results')
    args = parser.parse_args()
    if args.method == 'regions' and args.images is None:
        parser.error('--method regions needs --images')
    if args.number < 100:
        parser.error('--number must be at least 100, for AR@100')
    return args


def relative_base_boxes(path: str, base: Iterable[int]) -> np.ndarray:
    """Read the base boxes of a file as fractions of their image, (n, 4)."""
    content = read_coco(path)
    sizes = {i['id']: [i['width'], i['height']] * 2 for i in content['images']}
    boxes = [
        np.divide(a['bbox'], sizes[a['image_id']])
        for a in content['annotations']
        if a['category_id'] in base and not a.get('iscrowd')
    ]
    if not boxes:
        raise UserError(f'{path}: no base boxes; check --partition')
    return np.array(boxes)


def make_proposals(
    args: argparse.Namespace, images: list[dict], train_boxes: np.ndarray
) -> ProposalRows:
    """Make the proposals of all images."""
    rng = np.random.default_rng(args.seed)
    found = []
    for info in tqdm(images, unit='image'):
        if args.method == 'random':
            boxes = random_boxes(
                rng, train_boxes, args.number, info['width'], info['height']
            )
            scores = np.linspace(1, 0, len(boxes), endpoint=False)
            found.append((boxes, scores))
            continue
        path = Path(args.images) / info['file_name']
        image = cv2.imread(str(path))
        if image is None:
            raise UserError(f'{path}: missing or not an image; check --images')
        found.append(region_boxes(image, args.number))
    boxes, scores = map(np.concatenate, zip(*found))
    image_ids = [i['id'] for i in images]
    return ProposalRows(
        np.repeat(image_ids, [len(scores) for _, scores in found]),
        boxes,
        scores,
        np.ones(len(scores), int),
        False,
    )


def write(path: Path, rows: ProposalRows) -> None:
    """Write proposals as COCO results."""
    columns = (rows.image_ids, rows.labels, rows.boxes.round(2), rows.scores)
    keys = ('image_id', 'category_id', 'bbox', 'score')
    results = zip(*(column.tolist() for column in columns))
    with writing(path):
        path.write_text(
            json.dumps([dict(zip(keys, r)) for r in results]), encoding='utf-8'
        )


def main() -> None:
    """Make the proposals, print their recall and save them if asked."""
    args = parse_args()
    with cli.report_errors():
        check_writable(args.out)
        data = AnnotationFile.read(args.ann_val, args.partition)
        train_boxes = relative_base_boxes(args.ann_train, data.partition.base)
        rows = make_proposals(args, data.content['images'], train_boxes)
        found = data.evaluator(rows, args.method).evaluate(
            data.partition.novel
        )
        for k in (10, 100):
            recall = found.average_recall(k)
            print(f'{args.method} novel_drop-base/AR@{k} {recall:.4f}')
        if args.out:
            write(Path(args.out), rows)


if __name__ == '__main__':
    main()
