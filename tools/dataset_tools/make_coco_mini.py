"""Cut a small set of small images from COCO 2017, for quick experiments.

Example:
    python tools/dataset_tools/make_coco_mini.py --coco data/coco \
        --out data/coco_mini
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mmdet_owp.datasets.coco_file import read_coco


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Cut a subset from COCO 2017: images drawn at random of '
        'those with objects, made smaller, as WebP; boxes of all classes, no '
        'masks. The same arguments choose the same images.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        '--coco',
        default='data/coco',
        help='folder with annotations/instances_{train,val}2017.json, '
        'train2017/ and val2017/',
    )
    parser.add_argument(
        '--out', default='data/coco_mini', help='folder to write to'
    )
    parser.add_argument(
        '--train', type=int, default=2400, help='number of training images'
    )
    parser.add_argument(
        '--val', type=int, default=500, help='number of validation images'
    )
    parser.add_argument(
        '--longest',
        type=int,
        default=384,
        help='longest side in pixels; smaller images are not enlarged',
    )
    parser.add_argument(
        '--quality', type=int, default=90, help='of WebP, 1 to 100'
    )
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def choose(coco: dict, number: int, seed: int) -> list[dict]:
    """Draw images that have objects.

    Args:
        coco (dict): content of an annotation file.
        number (int): of images to draw.
        seed (int): of the draw.

    Returns:
        list[dict]: entries of ``coco['images']``, by id.

    Raises:
        ValueError: if there are not as many.
    """
    with_objects = {a['image_id'] for a in coco['annotations']}
    images = sorted(
        (i for i in coco['images'] if i['id'] in with_objects),
        key=lambda i: i['id'],
    )
    if len(images) < number:
        raise ValueError(
            f'{number} images wanted, but only {len(images)} have objects'
        )
    order = np.random.default_rng(seed).permutation(len(images))[:number]
    return [images[i] for i in sorted(order)]


def shrink(
    info: dict, source: Path, target: Path, longest: int, quality: int
) -> tuple[dict, float]:
    """Write a smaller copy of an image.

    Args:
        info (dict): its entry in the annotation file.
        source (Path): folder to read it from.
        target (Path): folder to write ``STEM.webp`` to.
        longest (int): its longest side at most, in pixels.
        quality (int): of WebP.

    Returns:
        tuple[dict, float]: the copy's entry, and its size over the
        original's.

    Raises:
        ValueError: if the file is no image, or not of the size that the
            annotation file gives.
    """
    path = source / info['file_name']
    image = cv2.imread(
        str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if image is None:
        raise ValueError(f'{path} is missing or no image')
    height, width = image.shape[:2]
    if (width, height) != (info['width'], info['height']):
        raise ValueError(
            f'{path} is {width} x {height}, in the annotation file '
            f'{info["width"]} x {info["height"]}'
        )
    scale = min(1.0, longest / max(width, height))
    size = [max(1, round(side * scale)) for side in (width, height)]
    if scale < 1:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    name = Path(info['file_name']).stem + '.webp'
    if not cv2.imwrite(
        str(target / name), image, [cv2.IMWRITE_WEBP_QUALITY, quality]
    ):
        raise OSError(f'cannot write {target / name}')
    return dict(
        id=info['id'], file_name=name, width=size[0], height=size[1]
    ), scale


def cut(args: argparse.Namespace, part: str, number: int) -> None:
    """Cut the training or the validation part.

    Args:
        args (argparse.Namespace): see :func:`parse_args`.
        part (str): ``'train'`` or ``'val'``.
        number (int): of images.
    """
    root, out = Path(args.coco), Path(args.out)
    ann_file = root / 'annotations' / f'instances_{part}2017.json'
    coco = read_coco(str(ann_file))
    try:
        chosen = choose(coco, number, args.seed)
    except ValueError as error:
        raise ValueError(f'{ann_file}: {error}') from error
    (out / part).mkdir(parents=True, exist_ok=True)
    (out / 'annotations').mkdir(exist_ok=True)
    images, scales = [], {}
    for info in tqdm(chosen, desc=part, unit='image'):
        small, scales[info['id']] = shrink(
            info, root / f'{part}2017', out / part, args.longest, args.quality
        )
        images.append(small)
    annotations = []
    for a in coco['annotations']:
        scale = scales.get(a['image_id'])
        if scale is None:
            continue
        annotations.append(
            dict(
                id=a['id'],
                image_id=a['image_id'],
                category_id=a['category_id'],
                bbox=[round(side * scale, 2) for side in a['bbox']],
                area=round(a['area'] * scale**2, 2),
                iscrowd=a['iscrowd'],
            )
        )
    # Written last: a set that is whole has it.
    path = out / 'annotations' / f'instances_{part}.json'
    path.write_text(
        json.dumps(
            dict(
                info=dict(
                    description='subset of COCO 2017, made by mmdet_owp',
                    seed=args.seed,
                    longest=args.longest,
                ),
                images=images,
                annotations=annotations,
                categories=coco['categories'],
            )
        )
    )
    print(f'{path}: {len(images)} images, {len(annotations)} objects')


def main() -> None:
    """Cut both parts."""
    args = parse_args()
    try:
        cut(args, 'train', args.train)
        cut(args, 'val', args.val)
    except (OSError, ValueError) as error:
        sys.exit(f'make_coco_mini: {error}')


if __name__ == '__main__':
    main()
