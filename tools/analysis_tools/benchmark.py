"""Compare time and memory of our detectors with mmdet's, in one process.

    python tools/analysis_tools/benchmark.py \
        configs/owp/fcos_iou_cs_is_coco.py --size 512 512 --batch 2 \
        --also configs/owp_cls/fcos_iou_cs_is_joint_coco.py

CONFIG has an `OWPFCOSHead`; it is compared with the *stock* detector, the
same with mmdet's `FCOSHead`. --also names further configs of any kind. All
take turns after a warm-up. The table gives the median, its ratio to the stock
detector's and, in brackets, the middle half of the ratios per turn. Weights
are random unless given and do not change (learning rate 0).

Parts, per batch:
  step        preprocessing, losses, gradients and the optimizer
  features    forward of backbone and neck, in training
  head        forward of the head on features, in training
  targets     from the boxes to label and distances of each location
  loss        targets and losses, from the outputs of the head
  backward    gradients of the whole
  inference   from images to boxes
  prediction  the head's part of it: forward, decoding and NMS
  decoding    from the outputs of the head to the boxes before NMS
  nms         decoding and NMS

If CONFIG has no classifier, the stock detector gets the settings of its
proposals (candidates, NMS, number kept) and no score threshold.

Memory is the peak that torch allocates beyond what was there before: in a
step activations and gradients, without weights and optimizer state, which are
given below the table. On a CPU it is the sum of torch's own record of
allocations, without other memory of the process and caches of the system.
"""

from __future__ import annotations

import argparse
import copy
import inspect
import json
import logging
import statistics
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmdet.models.dense_heads import FCOSHead
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.profiler import record_function

import mmdet_owp.register  # noqa: F401
from mmdet_owp.cli import add_cfg_options, report_errors
from mmdet_owp.cli import parser as make_parser
from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.engine.channels_last_hook import to_channels_last
from mmdet_owp.engine.compile_hook import compile_parts
from mmdet_owp.engine.detector import load_detector
from mmdet_owp.engine.launch import read_config
from mmdet_owp.errors import UserError, check_writable, writing
from mmdet_owp.models.dense_heads.cues import LOSSES
from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead
from mmdet_owp.reproduction.profiling import (
    count_flops,
    count_operators,
    count_waits,
    peak_memory,
    write_trace,
)
from mmdet_owp.reproduction.timing import take_turns
from mmdet_owp.shapes.scenes import draw_image
from mmdet_owp.tables import markdown_table

MIB = 2**20
TRAINING = ('step', 'features', 'head', 'targets', 'loss', 'backward')
INFERENCE = ('inference', 'prediction', 'decoding', 'nms')
PARTS = TRAINING + INFERENCE
# Parts whose cost depends on the boxes.
OF_BOXES = ('step', 'targets', 'loss', 'backward')
STOCK = 'FCOSHead'
HEADING = ['part', 'boxes per image', 'model', 'ms', 'ratio (of the turns)',
           'MiB', 'ratio']  # fmt: skip


class Subject(NamedTuple):
    """A detector and what it is measured with."""

    model: nn.Module
    optim: OptimWrapper
    images: Tensor
    precision: Callable[[], torch.autocast]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('config', help='config with an OWPFCOSHead')
    add('--also', nargs='+', default=[], metavar='CONFIG', help='more configs')
    add_cfg_options(parser)
    add('--checkpoint', metavar='FILE', help='weights of CONFIG')
    weights = 'weights of the stock detector, such as of a baseline config'
    add('--stock-checkpoint', metavar='FILE', help=weights)
    add('--parts', nargs='+', choices=PARTS, default=PARTS, metavar='PART')
    add('--size', nargs=2, type=int, default=[800, 1344], help='height, width')
    add('--batch', type=int, default=1, help='images')
    add(
        '--annotations',
        metavar='FILE',
        help='COCO annotations: take the boxes of random images from there '
        '(default: those of the images, drawn by the built-in generator)',
    )
    add(
        '--boxes',
        nargs='+',
        type=int,
        metavar='N',
        help='instead: N boxes per image, of 8 to 512 pixels; one row each',
    )
    crowds = 'boxes per image that are crowd regions, too'
    add('--crowds', type=int, default=0, metavar='N', help=crowds)
    add('--repeat', type=int, default=7, help='maximum of turns')
    limit = 'start no further turn of a part after this time'
    add('--limit', type=float, default=60, metavar='SECONDS', help=limit)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    add('--device', default=device, help='where to run')
    add('--seed', type=int, default=0)
    precision = 'autocast to float16, on a CPU to bfloat16'
    add('--amp', action='store_true', help=precision)
    add('--compile', action='store_true', help='compile as CompileHook does')
    add('--channels-last', action='store_true')
    add('--json', metavar='FILE', help='write all numbers')
    add(
        '--profile',
        metavar='FILE',
        help='write a trace of one step of each model, for chrome://tracing',
    )
    args = parser.parse_args()
    if (args.checkpoint is None) != (args.stock_checkpoint is None):
        parser.error(
            '--checkpoint and --stock-checkpoint go together: '
            'trained and random weights cannot be compared'
        )
    if min(*args.size, args.batch, args.repeat, *(args.boxes or [1])) < 1:
        parser.error('--size, --batch, --repeat and --boxes start at 1')
    return args


# Detectors -----------------------------------------------------------------


def stock_of(config: Config) -> Config:
    """Return the config of the same detector with mmdet's ``FCOSHead``.

    Raises:
        UserError: if the head is not an ``OWPFCOSHead``.
    """
    head = config.model.get('bbox_head', {})
    if head.get('type') != 'OWPFCOSHead':
        raise UserError(
            f'{config.filename}: the head is not OWPFCOSHead, so there is no '
            'stock detector to compare with; give the config by --also'
        )
    stock = copy.deepcopy(config)
    head, test_cfg = stock.model.bbox_head, stock.model.test_cfg
    # The defaults of the two heads differ.
    head.setdefault('centerness_on_reg', True)
    if head.get('loss_cls', ...) is None:
        del head['loss_cls']
        stock.model.test_cfg = dict(
            test_cfg.get('proposals', test_cfg), score_thr=0.0
        )
    head.type = STOCK
    known = inspect.signature(FCOSHead).parameters
    ours = {*inspect.signature(OWPFCOSHead).parameters, *LOSSES}
    for key in ours - set(known):
        head.pop(key, None)
    return stock


def build(
    config: Config,
    checkpoint: str | None,
    images: Tensor,
    args: argparse.Namespace,
) -> Subject:
    """Build a detector with random weights or those of a checkpoint."""
    # Not ImageNet's weights: no number here depends on them.
    config.model.backbone.init_cfg = None
    torch.manual_seed(args.seed)
    model = load_detector(config, checkpoint)
    if checkpoint is None:
        model.init_weights()
    model = model.to(args.device)
    if args.channels_last:
        to_channels_last(model)
    if args.compile:
        compile_parts(model)
    config.optim_wrapper.optimizer.lr = 0.0
    kind = torch.device(args.device).type
    dtype = torch.bfloat16 if kind == 'cpu' else torch.float16
    precision = partial(torch.autocast, kind, dtype, enabled=args.amp)
    optim = build_optim_wrapper(model, config.optim_wrapper)
    return Subject(model, optim, images, precision)


def build_all(images: Tensor, args: argparse.Namespace) -> dict[str, Subject]:
    """Build all detectors, by their name in the table, the stock one first."""
    configs = [read_config(path) for path in (args.config, *args.also)]
    for config in configs:
        config.merge_from_dict(args.cfg_options or {})
    init_default_scope('mmdet')
    subjects = {
        STOCK: build(stock_of(configs[0]), args.stock_checkpoint, images, args)
    }
    for config in configs:
        checkpoint = args.checkpoint if config is configs[0] else None
        name = Path(config.filename).stem
        subjects[name] = build(config, checkpoint, images, args)
    return subjects


def state_size(subject: Subject) -> int:
    """Return the bytes of weights, buffers and optimizer state."""
    states = subject.optim.optimizer.state.values()
    tensors = chain(
        subject.model.parameters(),
        subject.model.buffers(),
        (v for s in states for v in s.values() if isinstance(v, Tensor)),
    )
    return sum(t.numel() * t.element_size() for t in tensors)


# Images and boxes ----------------------------------------------------------


def draw(args: argparse.Namespace) -> tuple[Tensor, list[Tensor]]:
    """Draw images of the built-in data, with their boxes.

    Returns:
        tuple: (batch, 3, height, width) uint8, and for each image (n, 4) as
        (x1, y1, x2, y2), as fractions of its sides.
    """
    height, width = args.size
    side = max(height, width)
    images, boxes = [], []
    for index in range(args.batch):
        generator = np.random.default_rng([args.seed, index])
        image, objects = draw_image(generator, side)
        image = torch.from_numpy(cv2.resize(image, (width, height)))
        images.append(image.permute(2, 0, 1))
        boxes.append(to_corners([shape.bbox for shape in objects]) / side)
    return torch.stack(images), boxes


def to_corners(boxes: list) -> Tensor:
    """Convert (x, y, width, height) to (x1, y1, x2, y2)."""
    boxes = torch.tensor(boxes, dtype=torch.float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def boxes_of_file(args: argparse.Namespace) -> list[Tensor]:
    """Take the boxes of random images of an annotation file; see draw()."""
    content = read_coco(args.annotations)
    of_image: dict[int, list] = {}
    for annotation in content['annotations']:
        if not annotation.get('iscrowd'):
            boxes = of_image.setdefault(annotation['image_id'], [])
            boxes.append(annotation['bbox'])
    infos = [i for i in content['images'] if i['id'] in of_image]
    if not infos:
        raise UserError(f'{args.annotations}: no image has a box')
    rng = np.random.default_rng(args.seed)
    chosen = rng.integers(len(infos), size=args.batch)
    return [
        to_corners(of_image[info['id']])
        / torch.tensor([info['width'], info['height']] * 2)
        for info in (infos[i] for i in chosen)
    ]


def boxes_of_number(num: int, args: argparse.Namespace) -> list[Tensor]:
    """Draw boxes of 8 to 512 pixels, log-uniformly; see draw()."""
    generator = torch.Generator().manual_seed(args.seed)
    size = torch.tensor(args.size[::-1])
    boxes = []
    for _ in range(args.batch):
        center, log_side = torch.rand(2, num, 2, generator=generator)
        half = 4 * 64**log_side / size
        boxes.append(torch.cat([center - half, center + half], 1).clamp(0, 1))
    return boxes


def make_samples(
    boxes: list[Tensor], num_classes: int, args: argparse.Namespace
) -> list[DetDataSample]:
    """Make the samples of a batch; labels cycle through the classes."""
    height, width = args.size
    scale = torch.tensor([width, height, width, height])
    size = (height, width)
    metainfo = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    return [
        DetDataSample(
            metainfo=metainfo,
            gt_instances=InstanceData(
                bboxes=of_image * scale,
                labels=torch.arange(len(of_image)) % num_classes,
            ),
            ignored_instances=InstanceData(
                bboxes=of_image[: args.crowds] * scale
            ),
        ).to(args.device)
        for of_image in boxes
    ]


# Parts ---------------------------------------------------------------------


class _Parts:
    """Parts of a detector's training step and inference.

    A method named like a part prepares it and returns the function to
    measure.
    """

    def __init__(
        self, subject: Subject, boxes: list[Tensor], args: argparse.Namespace
    ) -> None:
        self.subject = subject
        self.model = model = subject.model
        classes = (getattr(m, 'num_classes', 1) for m in model.modules())
        self.samples = make_samples(boxes, max(classes), args)
        self.bbox_head = getattr(model, 'bbox_head', None)
        self.names = ('step', 'inference')
        if isinstance(self.bbox_head, FCOSHead):
            self.names = PARTS
            self.images = self._preprocess(self.samples)['inputs']
            self.truth = unpack_gt_instances(self.samples)
            with torch.no_grad():
                self.maps = model.train().extract_feat(self.images)

    def prepare(self, name: str) -> Callable:
        """Prepare a part with its gradient mode and precision."""
        precision = self.subject.precision
        gradient = partial(torch.set_grad_enabled, name in TRAINING)
        with gradient(), precision():
            function = getattr(self, name)()
        if name in ('step', 'backward'):  # gradients are not autocast
            precision = nullcontext

        def run() -> None:
            with gradient(), precision():
                function()

        return run

    def _preprocess(self, samples: list[DetDataSample]) -> dict:
        with record_function('preprocess'):
            return self.model.data_preprocessor(
                dict(inputs=list(self.subject.images), data_samples=samples),
                training=self.model.training,
            )

    def step(self) -> Callable:
        self.model.train()

        def run() -> None:
            # Not the model's train_step: its optimizer wrapper supports mixed
            # precision on CUDA only.
            data = self._preprocess(self.samples)
            with self.subject.precision():
                losses = self.model(**data, mode='loss')
            loss, _ = self.model.parse_losses(losses)
            self.subject.optim.update_params(loss)

        return run

    def features(self) -> Callable:
        self.model.train()
        return lambda: self.model.extract_feat(self.images)

    def head(self) -> Callable:
        self.model.train()
        return lambda: self.bbox_head(self.maps)

    def targets(self) -> Callable:
        return targets_of(self.bbox_head, self.maps, self.truth[0])

    def loss(self) -> Callable:
        outs, loss = self.head()(), self.bbox_head.loss_by_feat
        truth, ignored, metas = self.truth
        return lambda: loss(*outs, truth, metas, ignored)

    def backward(self) -> Callable:
        self.model.train().zero_grad()
        losses = self.model.loss(self.images, self.samples)
        return self.model.parse_losses(losses)[0].backward

    def inference(self) -> Callable:
        self.model.eval()
        # Without proposals, which a two-stage detector would use.
        samples = [DetDataSample(metainfo=s.metainfo) for s in self.samples]
        return lambda: self.model(**self._preprocess(samples), mode='predict')

    def prediction(self) -> Callable:
        self.model.eval()
        return lambda: self.bbox_head.predict(self.maps, self.samples)

    def decoding(self, with_nms: bool = False) -> Callable:
        self.model.eval()
        outs = self.bbox_head(self.maps)
        metas = self.truth[2]
        return lambda: self.bbox_head.predict_by_feat(
            *outs, batch_img_metas=metas, with_nms=with_nms
        )

    def nms(self) -> Callable:
        return self.decoding(with_nms=True)


def targets_of(
    head: nn.Module, maps: list[Tensor], truth: list[InstanceData]
) -> Callable:
    """Return the function that finds label and distances of the locations."""
    sizes = [level.shape[-2:] for level in maps]
    if isinstance(head, OWPFCOSHead):
        return lambda: head.find_targets(sizes, truth)
    points = head.prior_generator.grid_priors(sizes, device=maps[0].device)
    return lambda: head.get_targets(points, truth)


# Measuring -----------------------------------------------------------------


def box_sources(
    drawn: list[Tensor], args: argparse.Namespace
) -> dict[str, list[Tensor]]:
    """Return the boxes to measure with, by their number per image."""
    if args.boxes:
        return {str(n): boxes_of_number(n, args) for n in args.boxes}
    if args.annotations:
        drawn = boxes_of_file(args)
    return {f'{sum(map(len, drawn)) / args.batch:.3g}': drawn}


def measure(
    subjects: dict[str, Subject],
    sources: dict[str, list[Tensor]],
    args: argparse.Namespace,
) -> dict[str, Any]:
    """Measure all parts of all detectors.

    Returns:
        dict: ``rows``, a list of dicts per part, boxes and model; and by
        model: host ``waits`` of a training step, ``operators`` of the loss,
        ``flops`` of inference and number of ``parameters``.
    """
    rows = []
    for index, (num, boxes) in enumerate(sources.items()):
        parts = {n: _Parts(s, boxes, args) for n, s in subjects.items()}
        for part in args.parts:
            if part not in OF_BOXES and index:
                continue
            print(f'{part}, {num} boxes per image …', file=sys.stderr)
            chosen = {
                name: partial(p.prepare, part)
                for name, p in parts.items()
                if part in p.names
            }
            times = take_turns(chosen, args.repeat, args.device, args.limit)
            shown = num if part in OF_BOXES else '-'
            for name, prepare in chosen.items():
                row = dict(part=part, boxes=shown, model=name)
                row['seconds'] = times[name]
                row['bytes'] = peak_memory(prepare(), args.device)
                rows.append(row)
    steps = {name: partial(p.prepare, 'step') for name, p in parts.items()}
    if args.profile:
        write_trace(steps, args.profile, args.device)
    return dict(
        rows=rows,
        waits={n: count_waits(s(), args.device) for n, s in steps.items()},
        operators={
            n: count_operators(p.prepare('loss'))
            for n, p in parts.items()
            if 'loss' in p.names
        },
        flops={
            n: count_flops(p.prepare('inference')) for n, p in parts.items()
        },
        parameters={
            n: sum(p.numel() for p in s.model.parameters())
            for n, s in subjects.items()
        },
    )


# Report --------------------------------------------------------------------


def cells(row: dict, stock: dict) -> list[str]:
    """Format a row of the table."""
    median = statistics.median(row['seconds'])
    text = [row['part'], row['boxes'], row['model'], f'{1000 * median:.1f}']
    memory = f'{row["bytes"] / MIB:.1f}'
    if row is stock:
        return [*text, '1', memory, '1']
    turns = np.divide(row['seconds'], stock['seconds'])
    low, high = np.quantile(turns, [0.25, 0.75])
    ratio = median / statistics.median(stock['seconds'])
    more = row['bytes'] / stock['bytes'] if stock['bytes'] else float('nan')
    spread = f'{ratio:.3f} ({low:.3f} to {high:.3f})'
    return [*text, spread, memory, f'{more:.3f}']


def setting(args: argparse.Namespace) -> str:
    """Describe what was measured where."""
    where = 'CPU' if args.device == 'cpu' else torch.cuda.get_device_name()
    height, width = args.size
    options = ''.join(
        f', --{name.replace("_", "-")}'
        for name in ('amp', 'compile', 'channels_last')
        if vars(args)[name]
    )
    return (
        f'{args.batch} images of {width} x {height}, {where}, torch '
        f'{torch.__version__}, {torch.get_num_threads()} threads, seed '
        f'{args.seed}{options}.'
    )


def report(
    results: dict, subjects: dict[str, Subject], args: argparse.Namespace
) -> str:
    """Format the table and what stands below it."""
    lines = []
    for row in results['rows']:
        if row['model'] == STOCK:
            stock = row
        lines.append(cells(row, stock))
    waits = '; '.join(
        f'{name} {sum(counts.values())} times'
        + ''.join(f', {n} {what}' for what, n in sorted(counts.items()))
        for name, counts in results['waits'].items()
    )
    counts = ', '.join(
        f'{name} {number}' for name, number in results['operators'].items()
    )
    states = ', '.join(
        f'{name} {state_size(subject) / MIB:.1f}'
        for name, subject in subjects.items()
    )
    operations = ', '.join(
        f'{name} {number / 1e6:.2f} and '
        f'{results["flops"][name] / args.batch / 1e9:.2f}'
        for name, number in results['parameters'].items()
    )
    return '\n\n'.join(
        [
            setting(args),
            markdown_table(HEADING, lines),
            f'Host waits in a step: {waits}.',
            f'Operators of the loss: {counts}.',
            f'Weights and optimizer state in MiB: {states}.',
            'Millions of parameters and GFLOPs of inference per image: '
            f'{operations}.',
        ]
    )


def main() -> None:
    """Measure and print the table."""
    args = parse_args()
    # mmengine logs how each weight is initialized and which ones are frozen.
    logging.disable(logging.WARNING)
    with report_errors():
        check_writable(args.json)
        # Unknown masking has started.
        hub = MessageHub.get_current_instance()
        hub.update_info_dict(dict(iter=10**9, max_iters=10**9))
        count_flops(list)  # on PyTorch before 2.1, fail before measuring
        images, drawn = draw(args)
        sources = box_sources(drawn, args)
        subjects = build_all(images.to(args.device), args)
        results = measure(subjects, sources, args)
        print(report(results, subjects, args))
        if args.json:
            content = dict(settings=vars(args), **results)
            with writing(args.json):
                Path(args.json).write_text(
                    json.dumps(content, indent=1), encoding='utf-8'
                )


if __name__ == '__main__':
    main()
