"""Novel recall of proposals that need no learning, as a yardstick.

A data set is worth training on only where these stay far below a trained
proposer. ``random`` draws boxes from the size and place of the training
images' base boxes; ``regions`` boxes the connected regions of like colour.

Example:
    python tools/analysis_tools/trivial_proposals.py \
        data/shapes/annotations/instances_train.json \
        data/shapes/annotations/instances_val.json \
        --images data/shapes/val --partition shapes --method regions
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.partitions import parse_partition
from mmdet_owp.recall import GroundTruth, Proposals, RecallEvaluator

# Regions: smoothing (pixels) and number of colours of each segmentation.
SIGMAS = (0.8, 1.6, 3.2)
COLOURS = (3, 6, 12)
NMS_IOU = 0.7


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Novel recall (drop-base) of proposals made without '
        'learning: random boxes, or boxes of like-coloured regions.'
    )
    parser.add_argument('ann_train', help='COCO file of the training images')
    parser.add_argument('ann_val', help='COCO file of the images to judge on')
    parser.add_argument(
        '--images', help='folder of the images to judge on (for regions)'
    )
    parser.add_argument(
        '--method', choices=('random', 'regions'), required=True
    )
    parser.add_argument(
        '--partition',
        default='shapes',
        help='which classes are base (default: shapes)',
    )
    parser.add_argument(
        '--number',
        type=int,
        default=300,
        help='proposals an image (default: 300)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of random (default: 0)'
    )
    parser.add_argument('--out', help='write the proposals, as COCO results')
    args = parser.parse_args()
    if args.method == 'regions' and args.images is None:
        parser.error('--method regions needs --images')
    if args.number < 100:
        parser.error('--number must be at least 100, for AR@100')
    return args


def random_boxes(
    rng: np.random.Generator,
    train_boxes: np.ndarray,
    number: int,
    width: int,
    height: int,
) -> np.ndarray:
    """Draw boxes like the training boxes.

    Size and place come from two boxes drawn independently; the size is
    jittered, so that sizes between the training boxes' occur as well.

    Args:
        rng (np.random.Generator): source of all randomness.
        train_boxes (np.ndarray): x, y, width, height as fractions of their
            image, (n, 4).
        number (int): boxes to draw.
        width (int): of the image, in pixels.
        height (int): likewise.

    Returns:
        np.ndarray: x, y, width, height in pixels, inside the image,
        (number, 4).
    """
    sizes = train_boxes[rng.integers(len(train_boxes), size=number), 2:]
    sizes = np.minimum(sizes * np.exp(rng.normal(0, 0.1, sizes.shape)), 1)
    places = train_boxes[rng.integers(len(train_boxes), size=number)]
    corners = places[:, :2] + places[:, 2:] / 2 - sizes / 2
    corners = np.clip(corners, 0, 1 - sizes)
    boxes = np.concatenate([corners, sizes], axis=1)
    return boxes * [width, height, width, height]


def region_boxes(
    image: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Box the connected regions of like colour of an image.

    Colours are clustered at several numbers of clusters and smoothings, each
    region taken as it is and with its thin bridges removed; MSER adds regions
    that are stable in brightness. Regions are ranked by how much of their box
    they fill, times the square root of the box's area: larger and compact
    first.

    Args:
        image (np.ndarray): uint8, (h, w, 3), BGR.
        number (int): boxes to return at most.

    Returns:
        tuple: boxes, x, y, width, height in pixels, (n, 4), after NMS, and
        scores, (n, ), falling.
    """
    height, width = image.shape[:2]
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
    kernel = np.ones((3, 3), np.uint8)
    cv2.setRNGSeed(0)
    found = []  # x, y, width, height, area
    for sigma in SIGMAS:
        smooth = cv2.GaussianBlur(lab, (0, 0), sigma)
        pixels = smooth.reshape(-1, 3).astype(np.float32)
        for colours in COLOURS:
            stop = (cv2.TERM_CRITERIA_MAX_ITER, 8, 0)
            _, labels, _ = cv2.kmeans(
                pixels, colours, None, stop, 1, cv2.KMEANS_PP_CENTERS
            )
            labels = labels.reshape(height, width)
            for colour in range(colours):
                mask = (labels == colour).astype(np.uint8)
                for m in (
                    mask,
                    cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel),
                ):
                    stats = cv2.connectedComponentsWithStats(m)[2]
                    found.append(stats[1:])  # the first is what is outside
    for channel in cv2.split(lab):
        regions, boxes = cv2.MSER_create(5, 30).detectRegions(channel)
        if len(regions):
            areas = np.array([len(r) for r in regions])
            found.append(np.column_stack([boxes, areas]))
    found = np.concatenate(found).astype(float)
    boxes, areas = found[:, :4], found[:, 4]
    sides = boxes[:, 2:].max(axis=1)
    keep = (sides >= 8) & (boxes[:, 2:].prod(axis=1) < 0.9 * height * width)
    boxes, areas = boxes[keep], areas[keep]
    box_areas = boxes[:, 2:].prod(axis=1)
    scores = areas / box_areas * np.sqrt(box_areas)
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.0, NMS_IOU)
    kept = np.array(kept, int).reshape(-1)[:number]
    return boxes[kept], scores[kept]


def main() -> None:
    """Make the proposals, print their recall and save them if asked."""
    args = parse_args()
    try:
        train, val = read_coco(args.ann_train), read_coco(args.ann_val)
        partition = parse_partition(
            args.partition, val['categories'], args.ann_val
        )
    except (OSError, ValueError) as error:
        sys.exit(f'trivial_proposals: {error}')
    extent = {i['id']: [i['width'], i['height']] * 2 for i in train['images']}
    train_boxes = np.array(
        [
            np.divide(a['bbox'], extent[a['image_id']])
            for a in train['annotations']
            if a['category_id'] in partition.base and not a.get('iscrowd')
        ]
    )
    if not len(train_boxes):
        sys.exit(
            f'trivial_proposals: {args.ann_train} has no base boxes: is '
            '--partition the right one?'
        )
    rng = np.random.default_rng(args.seed)
    all_boxes, all_scores = [], []
    for info in tqdm(val['images'], unit='image'):
        if args.method == 'random':
            boxes = random_boxes(
                rng, train_boxes, args.number, info['width'], info['height']
            )
            scores = np.linspace(1, 0, len(boxes), endpoint=False)
        else:
            path = Path(args.images) / info['file_name']
            image = cv2.imread(str(path))
            if image is None:
                sys.exit(
                    f'trivial_proposals: {path} is missing or no image: '
                    'is --images the folder of these annotations?'
                )
            boxes, scores = region_boxes(image, args.number)
        all_boxes.append(boxes)
        all_scores.append(scores)

    image_ids = [i['id'] for i in val['images']]
    truth = GroundTruth.from_coco(val, partition.categories('all'))
    proposals = Proposals.from_images(
        truth.image_ids, image_ids, all_boxes, all_scores
    )
    found = RecallEvaluator(truth, proposals).evaluate(partition.novel)
    for k in (10, 100):
        print(
            f'{args.method} novel_drop-base/AR@{k} '
            f'{found.average_recall(k):.4f}'
        )
    if args.out:
        results = [
            dict(
                image_id=image_id,
                category_id=1,
                bbox=[round(float(v), 2) for v in box],
                score=float(score),
            )
            for image_id, boxes, scores in zip(
                image_ids, all_boxes, all_scores
            )
            for box, score in zip(boxes, scores)
        ]
        Path(args.out).write_text(json.dumps(results))


if __name__ == '__main__':
    main()
