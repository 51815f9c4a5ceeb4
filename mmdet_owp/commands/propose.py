"""Propose objects on your own images.

    python tools/propose.py IMAGE|FOLDER|VIDEO|'GLOB'... [CONFIG CHECKPOINT]

Without CONFIG and CHECKPOINT the model in the package proposes. Writes COCO
results and draws the best proposals of each image. The same command continues
a run that was stopped or killed. docs/inference.md describes the files it
writes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os.path as osp
import re
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.config import Config

from mmdet_owp import cli
from mmdet_owp.apis import inputs
from mmdet_owp.apis.default_model import default_model
from mmdet_owp.apis.proposal_inferencer import ProposalInferencer, error_line
from mmdet_owp.apis.ranked_boxes import (
    draw_ranked_boxes,
    write_picture,
    write_video,
)
from mmdet_owp.apis.results_folder import ResultsFolder, result_rows
from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.engine.checkpoint import check_exists
from mmdet_owp.engine.launch import read_config
from mmdet_owp.errors import UserError

# Arguments that results depend on.
_SETTINGS = (
    'top_k',
    'score_thr',
    'nms',
    'scales',
    'flip',
    'detections',
    'draw',
    'num_drawn',
)


def parser() -> ArgumentParser:
    """Return the argument parser."""
    p = cli.parser(__doc__)
    p.add_argument(
        'inputs',
        nargs='+',
        metavar='input',
        help='image, folder (with its subfolders), pattern, or one video; '
        'at the end a config (.py) and its checkpoint, unless the model in '
        'the package is to propose',
    )
    p.add_argument(
        '--out',
        metavar='DIR',
        help='folder for results (default: work_dirs/propose/NAME_OF_INPUT)',
    )
    p.add_argument(
        '--force',
        action='store_true',
        help='start anew; deletes the results in --out',
    )
    p.add_argument(
        '--top-k',
        type=cli.positive,
        default=100,
        help='maximum number of proposals per image (default: 100; the '
        'configs keep at most 1500)',
    )
    p.add_argument(
        '--score-thr',
        type=cli.fraction,
        default=0.0,
        help='minimum score (default: 0)',
    )
    p.add_argument(
        '--nms',
        type=cli.fraction,
        metavar='IOU',
        help="IoU threshold of the NMS, instead of the config's",
    )
    p.add_argument(
        '--scales',
        nargs='+',
        type=cli.positive,
        metavar='SIZE',
        help='merge the proposals for several sizes of each image: the '
        'smaller number of the scale in the test pipeline (default: '
        'that of the config)',
    )
    p.add_argument(
        '--flip',
        action='store_true',
        default=None,
        help='merge the proposals for the mirror image, too',
    )
    p.add_argument(
        '--detections',
        action='store_true',
        help='also write the class detections of a model that classifies',
    )
    p.add_argument(
        '--ann-file',
        metavar='FILE.json',
        help='COCO annotation file: take ids of images and categories from '
        'it, and only the images in it',
    )
    p.add_argument(
        '--draw',
        action='store_true',
        default=True,
        help='draw proposals on the images or the video (the default)',
    )
    p.add_argument(
        '--no-draw', dest='draw', action='store_false', help='draw nothing'
    )
    p.add_argument(
        '--num-drawn',
        type=cli.positive,
        default=30,
        help='proposals to draw per image (default: 30)',
    )
    p.add_argument(
        '--device', help='such as cuda:1 or cpu (default: the best there is)'
    )
    p.add_argument(
        '--batch-size',
        type=cli.positive,
        default=1,
        help='images of the same size that are predicted at once (default: 1)',
    )
    p.add_argument(
        '--trust',
        action='store_true',
        help='let the checkpoint call any function; only for files of authors '
        'you trust',
    )
    cli.add_cfg_options(p)
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Propose objects; exit with status 1 if an input cannot be read."""
    p = parser()
    args = p.parse_args(argv)
    args.config = args.checkpoint = None
    if len(args.inputs) > 2 and args.inputs[-2].endswith('.py'):
        *args.inputs, args.config, args.checkpoint = args.inputs
    if any(word.endswith(('.py', '.pth')) for word in args.inputs):
        p.error('config and checkpoint come last: INPUT... CONFIG CHECKPOINT')
    args.video = any(map(inputs.is_video, args.inputs))
    if args.video and len(args.inputs) > 1:
        p.error('give a video alone')
    if args.video and args.ann_file:
        p.error('--ann-file is for images, not for a video')
    if args.out is None:
        fixed_part = re.split(r'[*?[]', args.inputs[0])[0]
        name = osp.basename(osp.abspath(fixed_part))
        args.out = osp.join('work_dirs', 'propose', name)
    try:
        with cli.report_errors():
            sys.exit(_propose(args))
    except KeyboardInterrupt:
        print('\nstopped; the same command continues from here')
        sys.exit(130)


def _propose(args: Namespace) -> int:
    """Propose objects and return the exit status."""
    if args.config is None:
        args.config, args.checkpoint = default_model()
    check_exists(args.checkpoint)
    config = read_config(args.config)
    config.merge_from_dict(args.cfg_options or {})
    args.scales = args.scales or config.get('proposal_scales')
    annotations = ids = None
    if args.video:
        source: Any = inputs.Video(args.inputs[0])
        folder = osp.abspath(source.path)
    else:
        source = inputs.find_images(args.inputs, exclude=args.out)
        folder = source.folder
    if args.ann_file:
        annotations = read_coco(args.ann_file)
        ids = inputs.match_annotations(
            source, annotations['images'], args.ann_file
        )
        print(
            f'{args.ann_file}: has {len(ids)} of the {len(source.names)} '
            f'images, and {len(annotations["images"]) - len(ids)} others'
        )
    inferencer = ProposalInferencer(
        config,
        args.checkpoint,
        args.device,
        top_k=args.top_k,
        score_thr=args.score_thr,
        nms=args.nms,
        scales=args.scales,
        flip=bool(args.flip),
        trust=args.trust,
    )
    categories = {0: 'object'}
    category_ids = []
    if args.detections:
        category_ids = _category_ids(inferencer.classes, args, annotations)
        categories.update(zip(category_ids, inferencer.classes))
    # Opened last: an error above does not touch existing results.
    results = ResultsFolder(
        args.out, _made_by(args, config, folder), args.force
    )
    if results.done:
        print(f'{args.out}: {len(results.done)} are done already')
    pending = (
        source.pending(results.done)
        if args.video
        else source.pending(results.done, ids)
    )
    _predict(args, inferencer, pending, results, category_ids)
    results.finish(categories, args.detections)
    if args.video and args.draw:
        _draw_video(args, source, results)
    return _report(args, source, results, inferencer)


def _made_by(args: Namespace, config: Config, folder: str) -> dict[str, Any]:
    """Return all that the results depend on, by its name in messages."""
    pipeline = config.test_dataloader.dataset.pipeline
    parts = config.model, config.get('tta_model'), pipeline
    text = json.dumps(parts, sort_keys=True, default=str)
    return {
        'input folder': folder,
        'config': hashlib.sha256(text.encode()).hexdigest(),
        'checkpoint': _hash_file(args.checkpoint),
        '--ann-file': args.ann_file and _hash_file(args.ann_file),
        **{f'--{s.replace("_", "-")}': getattr(args, s) for s in _SETTINGS},
    }


def _hash_file(path: str) -> str:
    if not osp.isfile(path):  # a URL
        return path
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _category_ids(
    classes: Sequence[str], args: Namespace, annotations: Mapping | None
) -> list[int]:
    """Return the category id of each label: of the file, else from 1."""
    if annotations is None:
        return list(range(1, len(classes) + 1))
    ids = {c['name']: c['id'] for c in annotations['categories']}
    missing = [name for name in classes if name not in ids]
    if missing:
        raise UserError(
            f'{args.ann_file}: no category named {missing[0]}, which the '
            'checkpoint has; leave out --detections'
        )
    return [ids[name] for name in classes]


def _predict(
    args: Namespace,
    inferencer: ProposalInferencer,
    pending: inputs.Pending,
    results: ResultsFolder,
    category_ids: Sequence[int],
) -> None:
    """Write the result of each image as soon as it is predicted."""
    progress, undrawn = Progress(pending.total), {}
    for sample in inferencer.stream(pending.sources, args.batch_size):
        unreadable = inferencer.unreadable
        if args.video and any(x.index < sample.img_id for x in unreadable):
            break  # the next run continues from that frame
        entry = pending.entry(sample.img_id)
        detections = []
        if args.detections:
            detections = _detections(sample, category_ids, args.config)
        if args.draw and not args.video:
            try:
                (picture,) = inferencer.visualize(
                    [sample.img_path], [sample], args.num_drawn
                )
                write_picture(results.drawn / entry['file_name'], picture)
            except Exception as error:  # OpenCV and mmcv raise many types
                undrawn[entry['file_name']] = error
        # Last: an image with a result is complete.
        results.append(
            size=sample.ori_shape,
            proposals=result_rows(sample.proposals),
            detections=detections,
            **entry,
        )
        progress.step(len(inferencer.unreadable))
    progress.close()
    for name, error in itertools.islice(undrawn.items(), 5):
        print(f'{name}: not drawn: {error_line(error)}')
    if len(undrawn) > 5:
        print(f'{len(undrawn)} in all are not drawn; their results are kept')


def _detections(
    sample: DetDataSample, category_ids: Sequence[int], config: str
) -> list[list[float]]:
    """Return the class detections of a sample as rows of a result."""
    if 'pred_instances' not in sample:
        raise UserError(f'{config}: has no classifier; leave out --detections')
    labels = sample.pred_instances.labels.tolist()
    categories = [category_ids[label] for label in labels]
    return result_rows(sample.pred_instances, categories)


class Progress:
    """Print the progress: in place on a terminal, else every few seconds."""

    def __init__(self, total: int, every: float = 10.0) -> None:
        self.total = total
        self.done = 0
        self._in_place = sys.stdout.isatty()
        self._every = 0.2 if self._in_place else every
        self._start = self._printed = time.monotonic()

    def step(self, num_unreadable: int) -> None:
        """Count an image."""
        self.done += 1
        now = time.monotonic()
        if now - self._printed < self._every:
            return
        self._printed = now
        speed = self.done / (now - self._start)
        text = f'{self.done}'
        if self.total:
            left = max(0, self.total - self.done - num_unreadable) / speed
            text += f' of {self.total}, {left:.0f} s left'
        text += f', {speed:.1f} images/s'
        if num_unreadable:
            text += f', {num_unreadable} unreadable'
        self._print(text, end='' if self._in_place else '\n')

    def close(self) -> None:
        """Print the total."""
        seconds = time.monotonic() - self._start
        self._print(f'{self.done} images in {seconds:.0f} s')

    def _print(self, text: str, end: str = '\n') -> None:
        text = f'\r{text:78}' if self._in_place else text
        print(text, end=end, flush=True)


def _draw_video(
    args: Namespace, video: inputs.Video, results: ResultsFolder
) -> None:
    """Draw the results of all frames, read back from the disk."""

    def pictures() -> Iterator[np.ndarray]:
        for frame, result in zip(video.frames(), results.results()):
            boxes = np.array(result.proposals[: args.num_drawn])
            boxes = boxes.reshape(-1, 5)
            boxes[:, 2:4] += boxes[:, :2]
            yield draw_ranked_boxes(frame, boxes[:, :4], boxes[:, 4])

    name = osp.splitext(osp.basename(video.path))[0]
    path = results.drawn / f'{name}.mp4'
    print(f'drawing {path}', flush=True)
    try:
        write_video(path, pictures(), video.fps)
    except Exception as error:  # results are complete without it
        print(f'{path}: not drawn: {error_line(error)}')


def _report(
    args: Namespace,
    source: inputs.Video | inputs.ImageFiles,
    results: ResultsFolder,
    inferencer: ProposalInferencer,
) -> int:
    """Print what was done and what could not be read."""
    print(f'{len(results.done)} images: {args.out}/proposals.json')
    if args.video and len(results.done) < source.num_frames:
        print(
            f'{source.path}: says it has {source.num_frames} frames, but no '
            'more can be read'
        )
    if inferencer.unreadable:
        print(f'{len(inferencer.unreadable)} could not be read:')
        for one in inferencer.unreadable:
            print(f'  {one.name}: {one.reason}')
    return int(bool(inferencer.unreadable))
