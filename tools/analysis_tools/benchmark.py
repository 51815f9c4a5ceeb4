"""Time and memory of our detectors beside mmdet's, in one process.

    python tools/analysis_tools/benchmark.py \
        configs/owp/fcos_iou_cs_is_coco.py --size 512 512 --batch 2 \
        --also configs/owp_cls/fcos_iou_cs_is_joint_coco.py

CONFIG is one of ours with `OWPFCOSHead`; beside it stands the *stock* one,
the same detector with mmdet's `FCOSHead` for a head. --also names more, of
any kind. All take turns, after a warm-up; given are the median, and as a
ratio to the stock one the medians' and, in brackets, the middle half of the
turns'. Weights are random unless given, and no step changes them (a learning
rate of 0).

Parts, of a batch:
  step        preprocessing, losses, gradients and the optimizer
  features    forward of backbone and neck, in training
  head        forward of the head on features, in training
  targets     from the boxes to each location's label and distances
  loss        targets and losses, from the outputs of the head
  backward    gradients of the whole
  inference   from images to boxes
  prediction  the head's part in it: forward, decoding and NMS
  decoding    from the outputs of the head to the boxes before NMS
  nms         the same and NMS

Where CONFIG has no classifier, the stock one gets the settings of its
proposals (candidates, NMS, number kept) and no score threshold.

Memory is the most that torch has allocated at once, beyond what was there
before: in a step activations and gradients, without weights and optimizer
state, which are given below the table. On a CPU it is added up from torch's
own record of allocations, so that neither other memory of the process nor what
the system caches is in it.
"""

from __future__ import annotations

import argparse
import copy
import inspect
import json
import logging
import statistics
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from itertools import accumulate, chain
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmdet.models.dense_heads import FCOSHead
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.flop_counter import FlopCounterMode

import mmdet_owp.register  # noqa: F401
from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.engine.checkpoint import load_checkpoint
from mmdet_owp.engine.compile_hook import compile_parts
from mmdet_owp.engine.launch import (
    add_cfg_options,
    one_line_errors,
    read_config,
)
from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead
from mmdet_owp.reproduction.timing import synchronize, take_turns
from mmdet_owp.shapes.scenes import draw_image
from mmdet_owp.tables import markdown_table

MIB = 2**20
PARTS = (
    'step',
    'features',
    'head',
    'targets',
    'loss',
    'backward',
    'inference',
    'prediction',
    'decoding',
    'nms',
)
WITHOUT_GRADIENT = PARTS[6:]
OF_BOXES = ('step', 'targets', 'loss', 'backward')
STOCK = 'FCOSHead'
# A part prepares itself and returns what is measured.
Part = Callable[[], Callable]


class Subject(NamedTuple):
    """A detector and what it is measured with."""

    model: nn.Module
    optim: OptimWrapper
    images: Tensor
    precision: Callable[[], torch.autocast]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='with an OWPFCOSHead')
    parser.add_argument(
        '--also', nargs='+', default=[], metavar='CONFIG', help='more models'
    )
    add_cfg_options(parser)
    parser.add_argument(
        '--checkpoint', metavar='FILE', help='weights of CONFIG'
    )
    parser.add_argument(
        '--stock-checkpoint',
        metavar='FILE',
        help='weights of the stock one, such as of a baseline config',
    )
    parser.add_argument(
        '--parts', nargs='+', choices=PARTS, default=PARTS, metavar='PART'
    )
    parser.add_argument(
        '--size',
        nargs=2,
        type=int,
        default=[800, 1344],
        metavar=('HEIGHT', 'WIDTH'),
        help='in pixels (default: 800 1344)',
    )
    parser.add_argument('--batch', type=int, default=1, help='(default: 1)')
    parser.add_argument(
        '--annotations',
        metavar='FILE',
        help='COCO annotations to take the boxes of random images from; '
        'default: those of the images, which the built-in generator draws',
    )
    parser.add_argument(
        '--boxes',
        nargs='+',
        type=int,
        metavar='N',
        help='instead: so many an image, of 8 to 512 pixels; one row each',
    )
    parser.add_argument(
        '--repeat', type=int, default=7, help='turns at most (default: 7)'
    )
    parser.add_argument(
        '--limit',
        type=float,
        default=60,
        metavar='SECONDS',
        help='no further turn of a part after so long (default: 60)',
    )
    parser.add_argument(
        '--device',
        default='cuda' if torch.cuda.is_available() else 'cpu',
        help='(default: cuda where there is one)',
    )
    parser.add_argument('--seed', type=int, default=0, help='(default: 0)')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='autocast, on CUDA to float16, on a CPU to bfloat16',
    )
    parser.add_argument(
        '--compile', action='store_true', help='as CompileHook does it'
    )
    parser.add_argument('--channels-last', action='store_true')
    parser.add_argument('--json', metavar='FILE', help='write all numbers')
    parser.add_argument(
        '--profile',
        metavar='FILE',
        help='write a trace of one step of each, for chrome://tracing',
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
    """Return the same detector with mmdet's ``FCOSHead``.

    Raises:
        ValueError: in one line, if the config's head is another.
    """
    head = config.model.get('bbox_head', {})
    if head.get('type') != 'OWPFCOSHead':
        raise ValueError(
            f'{config.filename}: the head is not OWPFCOSHead, so '
            'no stock one stands beside it; give it by --also'
        )
    stock = copy.deepcopy(config)
    head, test_cfg = stock.model.bbox_head, stock.model.test_cfg
    # The two have other defaults.
    head.setdefault('centerness_on_reg', True)
    if head.get('loss_cls', ...) is None:
        del head['loss_cls']
        stock.model.test_cfg = dict(
            test_cfg.get('proposals', test_cfg), score_thr=0.0
        )
    head.type = STOCK
    known = inspect.signature(FCOSHead).parameters
    for key in set(inspect.signature(OWPFCOSHead).parameters) - set(known):
        head.pop(key, None)
    head.pop('loss_objectness', None)
    return stock


def build(
    config: Config,
    checkpoint: str | None,
    images: Tensor,
    args: argparse.Namespace,
) -> Subject:
    """Build a detector with random weights or those of a checkpoint.

    Raises:
        ValueError: in one line, if the checkpoint is another model's.
    """
    # Rather than ImageNet's weights: no number here depends on them.
    config.model.backbone.init_cfg = None
    torch.manual_seed(args.seed)
    model = MODELS.build(config.model)
    model.init_weights()
    if checkpoint:
        weights = load_checkpoint(checkpoint)
        wrong = model.load_state_dict(
            weights.get('state_dict', weights), strict=False
        )
        if wrong.missing_keys or wrong.unexpected_keys:
            raise ValueError(
                f'{checkpoint}: not of this model, such as '
                f'{(sum(wrong, []))[0]}'
            )
    model = model.to(args.device)
    if args.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if args.compile:
        compile_parts(model)
    config.optim_wrapper.optimizer.lr = 0.0
    kind = torch.device(args.device).type
    return Subject(
        model,
        build_optim_wrapper(model, config.optim_wrapper),
        images,
        lambda: torch.autocast(
            kind,
            torch.bfloat16 if kind == 'cpu' else torch.float16,
            enabled=args.amp,
        ),
    )


def build_all(images: Tensor, args: argparse.Namespace) -> dict[str, Subject]:
    """Build what is measured, under the names of the table."""
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


# Images and boxes ----------------------------------------------------------


def draw(args: argparse.Namespace) -> tuple[Tensor, list[Tensor]]:
    """Draw images of the built-in data, with their boxes.

    Returns:
        tuple: (batch, 3, height, width) uint8, and for each image (n, 4) as
        (x1, y1, x2, y2), as shares of its sides.
    """
    height, width = args.size
    images, boxes = [], []
    for index in range(args.batch):
        side = max(height, width)
        image, objects = draw_image(
            np.random.default_rng([args.seed, index]), side
        )
        images.append(
            torch.from_numpy(cv2.resize(image, (width, height))).permute(
                2, 0, 1
            )
        )
        boxes.append(as_corners([shape.bbox for shape in objects]) / side)
    return torch.stack(images), boxes


def as_corners(boxes: list) -> Tensor:
    """From (x, y, width, height) to (x1, y1, x2, y2)."""
    boxes = torch.tensor(boxes, dtype=torch.float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def boxes_of_file(args: argparse.Namespace) -> list[Tensor]:
    """Take the boxes of random images of an annotation file.

    Returns:
        list[Tensor]: as the boxes of :func:`draw`.
    """
    content = read_coco(args.annotations)
    of_image: dict[int, list] = {}
    for a in content['annotations']:
        if not a.get('iscrowd'):
            of_image.setdefault(a['image_id'], []).append(a['bbox'])
    infos = [i for i in content['images'] if i['id'] in of_image]
    chosen = np.random.default_rng(args.seed).integers(
        len(infos), size=args.batch
    )
    return [
        as_corners(of_image[info['id']])
        / torch.tensor([info['width'], info['height']] * 2)
        for info in (infos[i] for i in chosen)
    ]


def boxes_of_number(num: int, args: argparse.Namespace) -> list[Tensor]:
    """Make boxes of 8 to 512 pixels, as many of any scale.

    Returns:
        list[Tensor]: as the boxes of :func:`draw`.
    """
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
    """Make what training knows of the images; labels go round."""
    height, width = args.size
    scale = torch.tensor([width, height, width, height])
    return [
        DetDataSample(
            metainfo=dict(
                img_shape=(height, width),
                ori_shape=(height, width),
                scale_factor=(1.0, 1.0),
            ),
            gt_instances=InstanceData(
                bboxes=shares * scale,
                labels=torch.arange(len(shares)) % num_classes,
            ),
        ).to(args.device)
        for shares in boxes
    ]


# Parts ---------------------------------------------------------------------


def parts_of(
    subject: Subject, boxes: list[Tensor], args: argparse.Namespace
) -> dict[str, Part]:
    """Return the parts that a model has, in the order of the table."""
    model = subject.model
    num_classes = max(getattr(m, 'num_classes', 1) for m in model.modules())
    samples = make_samples(boxes, num_classes, args)
    inputs = list(subject.images)

    def step() -> Callable:
        model.train()

        def run() -> None:
            # As the model's train_step, whose wrapper of the optimizer knows
            # mixed precision on CUDA only.
            data = preprocess(model, inputs, samples, args)
            with subject.precision():
                losses = model(**data, mode='loss')
            subject.optim.update_params(model.parse_losses(losses)[0])

        return run

    def inference() -> Callable:
        model.eval()
        # A detector of two stages takes proposals that are there already.
        new = [DetDataSample(metainfo=s.metainfo) for s in samples]
        return lambda: model(
            **preprocess(model, inputs, new, args), mode='predict'
        )

    parts = dict(step=step, inference=inference)
    if isinstance(getattr(model, 'bbox_head', None), FCOSHead):
        parts.update(parts_of_fcos(model, inputs, samples, args))

    def within(name: str) -> Part:
        """Set what the part is measured under."""

        def prepare() -> Callable:
            with torch.set_grad_enabled(name not in WITHOUT_GRADIENT):
                with subject.precision():
                    function = parts[name]()

            def run() -> None:
                with torch.set_grad_enabled(name not in WITHOUT_GRADIENT):
                    if name in ('step', 'backward'):
                        function()
                    else:
                        with subject.precision():
                            function()

            return run

        return prepare

    return {name: within(name) for name in PARTS if name in parts}


def preprocess(
    model: nn.Module,
    inputs: list[Tensor],
    samples: list[DetDataSample],
    args: argparse.Namespace,
) -> dict:
    """Put a batch together, as a detector does first of all."""
    with record_function('preprocess'):
        data = model.data_preprocessor(
            dict(inputs=inputs, data_samples=samples), training=model.training
        )
    if args.channels_last:
        data['inputs'] = data['inputs'].contiguous(
            memory_format=torch.channels_last
        )
    return data


def parts_of_fcos(
    model: nn.Module,
    inputs: list[Tensor],
    samples: list[DetDataSample],
    args: argparse.Namespace,
) -> dict[str, Part]:
    """Return what step and inference of an FCOS consist of."""
    head = model.bbox_head
    images = preprocess(model, inputs, samples, args)['inputs']
    truth, ignored, metas = unpack_gt_instances(samples)
    with torch.no_grad():
        maps = model.train().extract_feat(images)

    def features() -> Callable:
        model.train()
        return lambda: model.extract_feat(images)

    def forward() -> Callable:
        model.train()
        return lambda: head(maps)

    def loss() -> Callable:
        outs = forward()()
        return lambda: head.loss_by_feat(*outs, truth, metas, ignored)

    def backward() -> Callable:
        model.train().zero_grad()
        return model.parse_losses(model.loss(images, samples))[0].backward

    def prediction() -> Callable:
        model.eval()
        return lambda: head.predict(maps, samples)

    def decoding(with_nms: bool = False) -> Callable:
        model.eval()
        outs = head(maps)
        return lambda: head.predict_by_feat(
            *outs, batch_img_metas=metas, with_nms=with_nms
        )

    return dict(
        features=features,
        head=forward,
        targets=lambda: targets_of(head, maps, truth),
        loss=loss,
        backward=backward,
        prediction=prediction,
        decoding=decoding,
        nms=lambda: decoding(with_nms=True),
    )


def targets_of(
    head: nn.Module, maps: list[Tensor], truth: list[InstanceData]
) -> Callable:
    """Return what finds label and distances of the locations."""
    sizes = [level.shape[-2:] for level in maps]
    points = head.prior_generator.grid_priors(sizes, device=maps[0].device)

    def ours() -> tuple:
        boxes = [gt.bboxes for gt in truth]
        assigned = head.sampler.assign(
            sizes, head.strides, head.regress_ranges, boxes
        )
        background = assigned.regression.new_full((1,), head.num_classes)
        labels = torch.cat([*(gt.labels for gt in truth), background])[
            assigned.regression
        ]
        inds = (assigned.cue >= 0).nonzero().squeeze(1)
        at = torch.cat([level.repeat(len(truth), 1) for level in points])[inds]
        matched = torch.cat(boxes)[assigned.cue[inds]]
        return labels, torch.cat([at - matched[:, :2], matched[:, 2:] - at], 1)

    if hasattr(head, 'sampler'):
        return ours
    return lambda: head.get_targets(points, truth)


# Measuring -----------------------------------------------------------------


def peak(function: Callable, device: str) -> float:
    """Measure the memory that a function allocates at once, in bytes."""
    if device != 'cpu':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(
        activities=[ProfilerActivity.CPU], profile_memory=True
    ) as trace:
        function()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trace.json'
        trace.export_chrome_trace(str(path))
        events = json.loads(path.read_text())['traceEvents']
    changes = [
        (e['ts'], e['args']['Bytes'])
        for e in events
        if e.get('name') == '[memory]'
    ]
    # Sorting is stable: what has one time stays in order.
    changes.sort(key=lambda change: change[0])
    return max(accumulate(size for _, size in changes), default=0)


def state_of(subject: Subject) -> int:
    """Bytes of weights, buffers and the optimizer's state."""
    states = subject.optim.optimizer.state.values()
    tensors = chain(
        subject.model.parameters(),
        subject.model.buffers(),
        (v for s in states for v in s.values() if isinstance(v, Tensor)),
    )
    return sum(t.numel() * t.element_size() for t in tensors)


def flops_of(function: Callable) -> int:
    """Count floating-point operations: a multiplication and an addition are 2.

    Convolutions and matrix products alone count, as is usual.
    """
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


# What makes the host wait for a CUDA device: a number taken from a tensor, and
# results whose size depends on values. An index with a mask is a nonzero.
WAITS = {
    'aten::_local_scalar_dense': 'item',
    'aten::nonzero': 'nonzero',
    'aten::masked_select': 'masked_select',
    'aten::_unique2': 'unique',
}
# Where numbers are taken on a CPU alone: one_hot checks its input, assigning
# a Python number makes a tensor of it, sizes of images and the optimizer's
# counters are on the host.
NOT_ON_CUDA = (
    'aten::one_hot',
    'aten::index_put_',
    'preprocess',
    'Optimizer.step',
)


def waits(function: Callable, device: str) -> Counter:
    """Count where the host waits for the device; on a CPU, where it would."""
    if device != 'cpu':
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            torch.cuda.set_sync_debug_mode('warn')
            function()
            torch.cuda.set_sync_debug_mode('default')
        return Counter('wait' for w in caught if 'synchroniz' in str(w))
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        function()

    def on_host(event) -> bool:
        while event is not None and not event.name.startswith(NOT_ON_CUDA):
            event = event.cpu_parent
        return event is not None

    return Counter(
        WAITS[e.name]
        for e in trace.events()
        if e.name in WAITS
        and not (e.name == 'aten::_local_scalar_dense' and on_host(e))
    )


def write_trace(steps: dict[str, Part], args: argparse.Namespace) -> None:
    """Write a trace of one training step of each."""
    activities = [ProfilerActivity.CPU]
    if args.device != 'cpu':
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as trace:
        for name, prepare in steps.items():
            function = prepare()
            with record_function(f'step: {name}'):
                function()
                synchronize(args.device)
    trace.export_chrome_trace(args.profile)


def measure(
    subjects: dict[str, Subject],
    sources: list[tuple[str, list[Tensor]]],
    args: argparse.Namespace,
) -> tuple[list[dict], dict]:
    """Measure everything.

    Args:
        subjects (dict[str, Subject]): by name, the stock one first.
        sources (list[tuple]): boxes an image, and the boxes.
        args (argparse.Namespace): of the command line.

    Returns:
        tuple: one dict for each part, source and model; and for each model
        where the host waits in a training step, and operations of inference.
    """
    rows = []
    for num, boxes in sources:
        parts = {
            name: parts_of(subject, boxes, args)
            for name, subject in subjects.items()
        }
        for part in args.parts:
            if part not in OF_BOXES and boxes is not sources[0][1]:
                continue
            print(f'{part}, {num} boxes an image …', file=sys.stderr)
            chosen = {n: p[part] for n, p in parts.items() if part in p}
            times = take_turns(chosen, args.repeat, args.device, args.limit)
            for name, prepare in chosen.items():
                rows.append(
                    dict(
                        part=part,
                        boxes=num if part in OF_BOXES else '-',
                        model=name,
                        seconds=times[name],
                        bytes=peak(prepare(), args.device),
                    )
                )
    steps = {name: p['step'] for name, p in parts.items()}
    if args.profile:
        write_trace(steps, args)
    waiting = {
        name: waits(prepare(), args.device) for name, prepare in steps.items()
    }
    flops = {name: flops_of(p['inference']()) for name, p in parts.items()}
    return rows, waiting, flops


def cells(row: dict, stock: dict) -> list[str]:
    """Lay out a row of the table."""
    median = statistics.median(row['seconds'])
    text = [row['part'], row['boxes'], row['model'], f'{1000 * median:.1f}']
    memory = f'{row["bytes"] / MIB:.1f}'
    if row is stock:
        return [*text, '1', memory, '1']
    turns = np.divide(row['seconds'], stock['seconds'])
    low, high = np.quantile(turns, [0.25, 0.75])
    ratio = median / statistics.median(stock['seconds'])
    more = row['bytes'] / stock['bytes'] if stock['bytes'] else float('nan')
    return [
        *text,
        f'{ratio:.3f} ({low:.3f} to {high:.3f})',
        memory,
        f'{more:.3f}',
    ]


def main() -> None:
    """Measure and print the table."""
    args = parse_args()
    # How each weight is initialised.
    logging.disable(logging.INFO)
    with one_line_errors():
        images, drawn = draw(args)
        if args.boxes:
            sources = [(str(n), boxes_of_number(n, args)) for n in args.boxes]
        else:
            if args.annotations:
                drawn = boxes_of_file(args)
            mean = sum(map(len, drawn)) / args.batch
            sources = [(f'{mean:.3g}', drawn)]
        subjects = build_all(images.to(args.device), args)
    rows, waiting, flops = measure(subjects, sources, args)
    lines = []
    for row in rows:
        if row['model'] == STOCK:
            stock = row
        lines.append(cells(row, stock))
    where = 'CPU'
    if args.device != 'cpu':
        where = torch.cuda.get_device_name()
    height, width = args.size
    options = ''.join(
        f', --{name.replace("_", "-")}'
        for name in ('amp', 'compile', 'channels_last')
        if vars(args)[name]
    )
    text = (
        f'{args.batch} images of {width} x {height}, {where}, torch '
        f'{torch.__version__}, {torch.get_num_threads()} threads, seed '
        f'{args.seed}{options}.\n\n'
    )
    text += markdown_table(
        [
            'part',
            'boxes an image',
            'model',
            'ms',
            'ratio (of the turns)',
            'MiB',
            'ratio',
        ],
        lines,
    )
    text += (
        '\n\nThe host waits in a step: '
        + '; '.join(
            f'{name} {sum(counts.values())} times'
            + ''.join(f', {n} {what}' for what, n in sorted(counts.items()))
            for name, counts in waiting.items()
        )
        + '.'
    )
    states = {name: state_of(s) / MIB for name, s in subjects.items()}
    text += (
        '\n\nWeights and optimizer state in MiB: '
        + ', '.join(f'{name} {size:.1f}' for name, size in states.items())
        + '.'
    )
    numbers = {
        name: sum(p.numel() for p in s.model.parameters())
        for name, s in subjects.items()
    }
    text += '\n\nMillions of parameters and GFLOPs of inference an image: '
    text += (
        ', '.join(
            f'{name} {number / 1e6:.2f} and '
            f'{flops[name] / args.batch / 1e9:.2f}'
            for name, number in numbers.items()
        )
        + '.'
    )
    print(text)
    if args.json:
        Path(args.json).write_text(
            json.dumps(
                dict(
                    settings=vars(args),
                    rows=rows,
                    waits=waiting,
                    flops=flops,
                    parameters=numbers,
                ),
                indent=1,
            )
        )


if __name__ == '__main__':
    main()
