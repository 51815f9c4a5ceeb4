"""Propose objects on your own images.

    python tools/propose.py IMAGE|FOLDER|VIDEO|'GLOB'... CONFIG CHECKPOINT

Writes COCO results, and draws the best proposals of each image. Stopped or
killed and started again, it goes on where it was. docs/inference.md tells
what it writes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import os.path as osp
import re
import sys
import time
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from typing import Any, NamedTuple

import cv2
import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmdet_owp.apis import inputs
from mmdet_owp.apis.proposal_inferencer import ProposalInferencer
from mmdet_owp.apis.results_folder import ResultsFolder
from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.engine.checkpoint import check_exists
from mmdet_owp.engine.launch import (
    add_cfg_options,
    one_line_errors,
    read_config,
)
from mmdet_owp.visualization.ranked_boxes import draw_ranked_boxes


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='input',
        help='image, folder (with its subfolders), pattern, or one video',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        metavar='DIR',
        help='where results go; default: work_dirs/propose/NAME_OF_INPUT',
    )
    parser.add_argument(
        '--force',
        action='store_true',
        help='start anew; deletes the results that --out holds',
    )
    parser.add_argument(
        '--top-k',
        type=int,
        default=100,
        help='proposals an image, at most (default: 100; the configs make '
        'no more than 1500)',
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.0,
        help='smallest score that is kept (default: 0)',
    )
    parser.add_argument(
        '--nms',
        type=float,
        metavar='IOU',
        help='IoU above which the worse of two proposals is suppressed, '
        'instead of that of the config',
    )
    parser.add_argument(
        '--detections',
        action='store_true',
        help='write the class detections of a model that classifies, too',
    )
    parser.add_argument(
        '--ann-file',
        metavar='FILE.json',
        help='COCO annotation file: take the ids of its images and '
        'categories, and only images that are in it',
    )
    parser.add_argument(
        '--draw',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='draw proposals on the images, or on the video',
    )
    parser.add_argument(
        '--num-drawn',
        type=int,
        default=30,
        help='proposals drawn on an image (default: 30)',
    )
    parser.add_argument(
        '--device', help='such as cuda:1 or cpu; default: the best there is'
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        default=1,
        help='images, of one size, that go through the model at once '
        '(default: 1)',
    )
    parser.add_argument(
        '--trust',
        action='store_true',
        help='let the checkpoint execute what it likes: only of authors you '
        'trust',
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    for name in ('top_k', 'batch_size', 'num_drawn'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be positive')
    args.video = any(map(inputs.is_video, args.inputs))
    if args.video and len(args.inputs) > 1:
        parser.error('give a video alone')
    if args.video and args.ann_file:
        parser.error('--ann-file is for images, not for a video')
    if args.out is None:
        start = re.split(r'[*?[]', args.inputs[0])[0]
        name = osp.basename(osp.abspath(start))
        args.out = osp.join('work_dirs', 'propose', name)
    return args


class ToDo(NamedTuple):
    """Images, or frames of a video, that have no result yet.

    Attributes:
        sources (Iterable): paths or arrays.
        entry (Callable): gives ``file_name``, ``image_id`` and what else
            there is to write of the source at a position.
        total (int): how many; 0 if nobody knows.
    """

    sources: Iterable[str | np.ndarray]
    entry: Callable[[int], dict]
    total: int


class Progress:
    """Says how far it is: in place on a terminal, else now and then."""

    def __init__(self, total: int, every: float = 10.0) -> None:
        self.total = total
        self.done = 0
        self._in_place = sys.stdout.isatty()
        self._every = 0.2 if self._in_place else every
        self._start = self._said = time.monotonic()

    def step(self, unreadable: int) -> None:
        """Count one more image."""
        self.done += 1
        now = time.monotonic()
        if now - self._said < self._every:
            return
        self._said = now
        speed = self.done / (now - self._start)
        text = f'{self.done}'
        if self.total:
            left = max(0, self.total - self.done - unreadable) / speed
            text += f' of {self.total}, {left:.0f} s left'
        text += f', {speed:.1f} images/s'
        if unreadable:
            text += f', {unreadable} unreadable'
        if self._in_place:
            print(f'\r{text:78}', end='', flush=True)
        else:
            print(text, flush=True)

    def close(self) -> None:
        """End the line."""
        seconds = time.monotonic() - self._start
        text = f'{self.done} images in {seconds:.0f} s'
        print(f'\r{text:78}' if self._in_place else text, flush=True)


def made_by(
    args: argparse.Namespace, config: Config, folder: str
) -> dict[str, Any]:
    """Name all that results depend on."""
    parts = config.model, config.test_dataloader.dataset.pipeline
    text = json.dumps(parts, sort_keys=True, default=str)
    return {
        'input folder': folder,
        'config': hashlib.sha256(text.encode()).hexdigest(),
        'checkpoint': _hash_file(args.checkpoint),
        '--ann-file': args.ann_file and _hash_file(args.ann_file),
        **{
            f'--{name.replace("_", "-")}': getattr(args, name)
            for name in (
                'top_k',
                'score_thr',
                'nms',
                'detections',
                'draw',
                'num_drawn',
            )
        },
    }


def _hash_file(path: str) -> str:
    if not osp.isfile(path):  # a URL
        return path
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def category_ids(
    classes: Sequence[str], ann_file: str | None, annotations: dict | None
) -> list[int]:
    """Category id of each label: of an annotation file, else from 1."""
    if annotations is None:
        return list(range(1, len(classes) + 1))
    ids = {c['name']: c['id'] for c in annotations['categories']}
    missing = [name for name in classes if name not in ids]
    if missing:
        sys.exit(
            f'error: {ann_file}: no category named {missing[0]}, which '
            'the checkpoint has; leave out --detections'
        )
    return [ids[name] for name in classes]


def rows(found: InstanceData, *more: Sequence[int]) -> list[list[float]]:
    """Boxes as (x, y, width, height), scores and what else there is."""
    # In double precision before the difference, as in the metric.
    boxes = found.bboxes.double()
    boxes[:, 2:] -= boxes[:, :2]
    columns = boxes.tolist(), found.scores.tolist(), *more
    return [[*box, *rest] for box, *rest in zip(*columns)]


def images_to_do(
    found: inputs.ImageFiles, ids: dict[str, int] | None, done: Container[str]
) -> ToDo:
    """Leave out images that are done, and those without an id."""
    names = [
        name
        for name in found.names
        if name not in done and (ids is None or name in ids)
    ]
    return ToDo(
        sources=[osp.join(found.folder, name) for name in names],
        entry=lambda i: dict(
            file_name=names[i], image_id=ids and ids[names[i]]
        ),
        total=len(names),
    )


def frames_to_do(video: inputs.Video, done: Collection[str]) -> ToDo:
    """Start at the first frame that is not done."""
    start, name = len(done), osp.basename(video.path)
    return ToDo(
        sources=video.frames(start),
        entry=lambda i: dict(
            file_name=f'{name}/{start + i:06}.jpg',
            image_id=start + i + 1,
            frame_id=start + i,
        ),
        total=max(0, video.num_frames - start),
    )


def predict(
    args: argparse.Namespace,
    inferencer: ProposalInferencer,
    to_do: ToDo,
    results: ResultsFolder,
    classes: list[int],
) -> None:
    """Write the result of each image as soon as it is there."""
    progress = Progress(to_do.total)
    for sample in inferencer.stream(to_do.sources, args.batch_size):
        if args.video and inferencer.unreadable:
            break  # to go on from that frame
        entry = to_do.entry(sample.img_id)
        detections = []
        if args.detections:
            if 'pred_instances' not in sample:
                sys.exit(
                    f'error: {args.config}: has no classifier; leave '
                    'out --detections'
                )
            labels = sample.pred_instances.labels.tolist()
            detections = rows(
                sample.pred_instances, [classes[label] for label in labels]
            )
        if args.draw and not args.video:
            (drawn,) = inferencer.visualize(
                [sample.img_path], [sample], args.num_drawn
            )
            mmcv.imwrite(drawn, str(results.drawn / entry['file_name']))
        # Last, so that of an image that has a line all is done.
        results.append(
            size=sample.ori_shape,
            proposals=rows(sample.proposals),
            detections=detections,
            **entry,
        )
        progress.step(len(inferencer.unreadable))
    progress.close()


def draw_video(
    args: argparse.Namespace, video: inputs.Video, results: ResultsFolder
) -> None:
    """Draw the results of all frames, read back from the disk."""
    name = osp.splitext(osp.basename(video.path))[0]
    path = results.drawn / f'{name}.mp4'
    unfinished = results.drawn / 'unfinished.mp4'
    print(f'drawing {path}', flush=True)
    results.drawn.mkdir(exist_ok=True)
    writer = None
    for frame, result in zip(video.frames(), results.results()):
        boxes = np.array(result.proposals[: args.num_drawn]).reshape(-1, 5)
        boxes[:, 2:4] += boxes[:, :2]
        drawn = draw_ranked_boxes(frame, boxes[:, :4], boxes[:, 4])
        if writer is None:
            writer = cv2.VideoWriter(
                str(unfinished),
                cv2.VideoWriter_fourcc(*'mp4v'),
                video.fps,
                drawn.shape[1::-1],
            )
        writer.write(drawn)
    writer.release()
    os.replace(unfinished, path)


def propose(args: argparse.Namespace) -> int:
    """Do all of it; returns the exit status."""
    check_exists(args.checkpoint)
    config = read_config(args.config)
    config.merge_from_dict(args.cfg_options or {})
    video = annotations = ids = None
    if args.video:
        video = inputs.Video(args.inputs[0])
        folder = osp.abspath(video.path)
    else:
        found = inputs.find_images(args.inputs, leave_out=args.out)
        folder = found.folder
    if args.ann_file:
        annotations = read_coco(args.ann_file)
        ids = inputs.match_annotations(
            found.names, annotations['images'], args.ann_file
        )
        print(
            f'{args.ann_file}: has {len(ids)} of the {len(found.names)} '
            f'images, and {len(annotations["images"]) - len(ids)} others'
        )
    inferencer = ProposalInferencer(
        config,
        args.checkpoint,
        args.device,
        top_k=args.top_k,
        score_thr=args.score_thr,
        nms=args.nms,
        trust=args.trust,
    )
    categories = {0: 'object'}
    classes = []
    if args.detections:
        classes = category_ids(inferencer.classes, args.ann_file, annotations)
        categories.update(zip(classes, inferencer.classes))
    # Opened last: an error above leaves what is there as it is.
    results = ResultsFolder(
        args.out, made_by(args, config, folder), args.force
    )
    if results.done:
        print(f'{args.out}: {len(results.done)} are done already')
    to_do = (
        frames_to_do(video, results.done)
        if args.video
        else images_to_do(found, ids, results.done)
    )
    predict(args, inferencer, to_do, results, classes)
    results.finish(categories, args.detections)
    if args.video and args.draw:
        draw_video(args, video, results)
    print(f'{len(results.done)} images: {args.out}/proposals.json')
    if args.video and len(results.done) < video.num_frames:
        print(
            f'{video.path}: says it has {video.num_frames} frames, but no '
            'more can be read'
        )
    if inferencer.unreadable:
        print(f'{len(inferencer.unreadable)} could not be read:')
        for one in inferencer.unreadable:
            print(f'  {one.name}: {one.reason}')
    return int(bool(inferencer.unreadable))


def main() -> None:
    """Propose as the command line says."""
    args = parse_args()
    # Names of files need not be valid text.
    sys.stdout.reconfigure(errors='backslashreplace')
    try:
        with one_line_errors():
            sys.exit(propose(args))
    except KeyboardInterrupt:
        print('\nstopped; the same command goes on from here')
        sys.exit(130)


if __name__ == '__main__':
    main()
