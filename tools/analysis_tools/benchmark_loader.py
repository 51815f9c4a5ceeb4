"""Measure the images per second that a worker of a training loader gives.

    python tools/analysis_tools/benchmark_loader.py \
        configs/owp/fcos_iou_cs_is_coco.py --synthetic --workers 1 2

Images go through the config's training pipeline, including decoding; the
machine should be idle otherwise. --synthetic writes JPEGs of 640 x 480 pixels,
about as large as COCO's, to a temporary folder, for machines without COCO.

Training waits for data unless workers x (images/s per worker) exceeds the
images/s of the device. Workers needed: images/s of the device / (images/s per
worker), rounded up, if there are as many cores.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing

from mmdet_owp.cli import add_cfg_options, report_errors
from mmdet_owp.cli import parser as make_parser
from mmdet_owp.engine.launch import check_data, read_config
from mmdet_owp.partitions import COCO_NON_VOC, COCO_VOC
from mmdet_owp.shapes.scenes import draw_image
from mmdet_owp.tables import markdown_table


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('config')
    add(
        '--workers', nargs='+', type=int, default=[1, 2], help='numbers to try'
    )
    batches = 'batches to measure, after a warm-up'
    add('--batches', type=int, default=20, help=batches)
    add('--synthetic', action='store_true', help='generate the images')
    add('--seed', type=int, default=0)
    add_cfg_options(parser)
    args = parser.parse_args()
    if min(args.workers) < 1 or args.batches < 1:
        parser.error(
            '--workers and --batches start at 1: without workers the '
            'training process loads the images itself'
        )
    return args


def write_synthetic(folder: Path, seed: int, number: int = 16) -> float:
    """Write images like COCO's; return their mean file size in KiB."""
    images, annotations, sizes = [], [], []
    for index in range(number):
        image, objects = draw_image(np.random.default_rng([seed, index]), 640)
        path = folder / 'train2017' / f'{index}.jpg'
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), image[:480], [cv2.IMWRITE_JPEG_QUALITY, 90])
        sizes.append(path.stat().st_size / 1024)
        images.append(
            dict(id=index + 1, file_name=path.name, width=640, height=480)
        )
        for shape in objects:
            x, y, width, height = shape.bbox
            height = min(height, 40)
            number = len(annotations)
            annotation = dict(id=number + 1, image_id=index + 1, iscrowd=0)
            annotation['category_id'] = sorted(COCO_VOC)[number % 20]
            annotation['bbox'] = [x, min(y, 440), width, height]
            annotations.append(dict(annotation, area=width * height))
    classes = sorted({**COCO_VOC, **COCO_NON_VOC}.items())
    path = folder / 'annotations' / 'instances_train2017.json'
    path.parent.mkdir()
    categories = [dict(id=i, name=name) for i, name in classes]
    content = dict(images=images, annotations=annotations)
    path.write_text(
        json.dumps(dict(content, categories=categories)), encoding='utf-8'
    )
    return statistics.mean(sizes)


def images_per_second(
    config: Config, workers: int, args: argparse.Namespace
) -> float:
    """Measure a loader after a warm-up of all its workers."""
    cfg = config.train_dataloader.copy()
    cfg.update(num_workers=workers, persistent_workers=False)
    cfg.sampler = dict(type='InfiniteSampler', shuffle=True)
    batches = iter(Runner.build_dataloader(cfg, seed=args.seed))
    # Do not count batches that the workers prefetched.
    for _ in range(2 * workers):
        next(batches)
    start = time.perf_counter()
    images = sum(len(next(batches)['inputs']) for _ in range(args.batches))
    return images / (time.perf_counter() - start)


def main() -> None:
    """Measure and print the table."""
    args = parse_args()
    logging.disable(logging.INFO)
    with report_errors(), tempfile.TemporaryDirectory() as folder:
        config = read_config(args.config)
        source = 'images of the config'
        if args.synthetic:
            size = write_synthetic(Path(folder), args.seed)
            config.train_dataloader.dataset.update(
                data_root=folder,
                ann_file='annotations/instances_train2017.json',
                data_prefix=dict(img='train2017/'),
            )
            source = f'JPEGs of 640 x 480 and {size:.0f} KiB'
        config.merge_from_dict(args.cfg_options or {})
        check_data(config, 'train')
        init_default_scope('mmdet')
        set_multi_processing(**config.env_cfg.mp_cfg)
        rows = []
        for workers in args.workers:
            rate = images_per_second(config, workers, args)
            rows.append([str(workers), f'{rate:.1f}', f'{rate / workers:.1f}'])
    print(
        f'{source}, batches of {config.train_dataloader.batch_size}, seed '
        f'{args.seed}.\n'
    )
    print(markdown_table(['workers', 'images/s', 'images/s per worker'], rows))


if __name__ == '__main__':
    main()
