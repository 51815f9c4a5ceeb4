"""Time a training step of our head and of mmdet's, with many boxes.

    python tools/analysis_tools/benchmark_assignment.py --out table.md

Heads are those of configs/owp_cls/fcos_iou_cs_is_joint_lvis.py and, as stock
``FCOSHead``, of configs/fcos/fcos_lvis.py: 1103 classes, the paper's size of
image. *Assignment* goes from the boxes to each location's label and distances;
*step* is the head's forward pass on random features, its losses and gradients;
*prediction* is a forward pass and all that follows, of one image, where every
score is above the threshold, which is the worst case.

The two heads take turns, up to a minute beyond the first; given are medians.
Peak memory is what torch allocates at once beyond what was there before,
measured apart.
"""
from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import mmdet_owp.register  # noqa: F401
from mmdet_owp.engine.logs import markdown_table
from mmdet_owp.engine.timing import take_turns

CONFIGS = Path(__file__).parents[2] / 'configs'
MIB = 2**20


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--boxes', nargs='+', type=int, default=[50, 300, 1000],
        help='an image (default: 50 300 1000)')
    parser.add_argument(
        '--images', type=int, default=2, help='a step (default: 2)')
    parser.add_argument(
        '--size', nargs=2, type=int, default=[800, 1344],
        metavar=('HEIGHT', 'WIDTH'), help='in pixels (default: 800 1344)')
    parser.add_argument(
        '--repeat', type=int, default=5, help='turns at most (default: 5)')
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu',
        help='(default: cuda where there is one)')
    parser.add_argument('--seed', type=int, default=0, help='(default: 0)')
    parser.add_argument('--out', help='write the table, as Markdown')
    return parser.parse_args()


def build_heads(device: str) -> dict[str, nn.Module]:
    """Build both heads, with the settings of LVIS."""
    ours = Config.fromfile(
        CONFIGS / 'owp_cls/fcos_iou_cs_is_joint_lvis.py').model
    stock = Config.fromfile(CONFIGS / 'fcos/fcos_lvis.py').model
    stock.bbox_head.type = 'FCOSHead'
    stock.bbox_head.centerness_on_reg = True
    for key in ('objectness', 'sampler', 'proposal_score'):
        del stock.bbox_head[key]
    heads = {}
    with DefaultScope.overwrite_default_scope('mmdet'):
        for name, model in (('FCOSHead', stock), ('OWPFCOSHead', ours)):
            model.bbox_head.test_cfg = model.test_cfg
            heads[name] = MODELS.build(model.bbox_head).to(device)
    return heads


def make_samples(num: int, args: argparse.Namespace) -> list[DetDataSample]:
    """Make images with boxes of 8 to 512 pixels, as many of any scale."""
    generator = torch.Generator().manual_seed(args.seed)
    height, width = args.size
    samples = []
    for _ in range(args.images):
        center, log_side = torch.rand(2, num, 2, generator=generator)
        center = center * torch.tensor([width, height])
        half = 4 * 64**log_side
        boxes = torch.cat([center - half, center + half], 1)
        boxes[:, 0::2].clamp_(0, width)
        boxes[:, 1::2].clamp_(0, height)
        labels = torch.randint(1103, (num, ), generator=generator)
        samples.append(
            DetDataSample(
                metainfo=dict(
                    img_shape=(height, width),
                    ori_shape=(height, width),
                    scale_factor=(1., 1.)),
                gt_instances=InstanceData(bboxes=boxes, labels=labels)))
    return [sample.to(args.device) for sample in samples]


def assigns(head: nn.Module, sizes: list[tuple[int, int]],
            samples: list[DetDataSample]) -> Callable:
    """Return what finds the targets of all locations."""
    truth = [sample.gt_instances for sample in samples]
    points = head.prior_generator.grid_priors(
        sizes, device=truth[0].bboxes.device)

    def stock() -> tuple:
        return head.get_targets(points, truth)

    def ours() -> tuple:
        boxes = [gt.bboxes for gt in truth]
        assigned = head.sampler.assign(sizes, head.strides,
                                       head.regress_ranges, boxes)
        background = assigned.regression.new_full((1, ), head.num_classes)
        labels = torch.cat([*(gt.labels for gt in truth),
                            background])[assigned.regression]
        inds = (assigned.cue >= 0).nonzero().squeeze(1)
        at = torch.cat([level.repeat(len(truth), 1) for level in points])[inds]
        matched = torch.cat(boxes)[assigned.cue[inds]]
        return labels, torch.cat([at - matched[:, :2], matched[:, 2:] - at], 1)

    return ours if hasattr(head, 'sampler') else stock


def steps(head: nn.Module, features: list[Tensor],
          samples: list[DetDataSample]) -> Callable:
    """Return what computes the gradients of a training step."""

    def step() -> None:
        head.train().zero_grad()
        sum(head.loss(features, samples).values()).backward()

    return step


def predicts(head: nn.Module, features: list[Tensor],
             sample: DetDataSample) -> Callable:
    """Return what predicts on one image."""
    features = [level[:1] for level in features]

    @torch.no_grad()
    def predict() -> None:
        head.eval().predict(features, [sample])

    return predict


def peak(function: Callable, device: str) -> float:
    """Measure the memory that a function allocates at once, in MiB."""
    if device != 'cpu':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    with profile(
            activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        function()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trace.json'
        trace.export_chrome_trace(str(path))
        events = json.loads(path.read_text())['traceEvents']
    changes = [(e['ts'], e['args']['Bytes']) for e in events
               if e.get('name') == '[memory]']
    # Sorting is stable: what has one time stays in order.
    changes.sort(key=lambda change: change[0])
    return max(accumulate(size for _, size in changes), default=0) / MIB


def ratio(stock: float, ours: float) -> str:
    """Write ours in units of the stock one; of nothing it is a dash."""
    return f'{ours / stock:.3f}' if stock > 0 else '-'


def main() -> None:
    """Measure and print the table."""
    args = parse_args()
    torch.manual_seed(args.seed)
    heads = build_heads(args.device)
    stock = heads['FCOSHead']
    sizes = [tuple(-(-side // stride) for side in args.size)
             for stride in stock.strides]
    features = [
        torch.rand(args.images, stock.in_channels, *size, device=args.device)
        for size in sizes
    ]
    measured = {}
    for num in args.boxes:
        samples = make_samples(num, args)
        measured['assignment', num] = {
            name: assigns(head, sizes, samples)
            for name, head in heads.items()
        }
        measured['step', num] = {
            name: steps(head, features, samples)
            for name, head in heads.items()
        }
    measured['prediction', '-'] = {
        name: predicts(head, features, samples[0])
        for name, head in heads.items()
    }
    times = {
        key: take_turns(f, args.repeat, args.device)
        for key, f in measured.items()
    }
    rows = []
    for (what, num), functions in measured.items():
        memory = [peak(f, args.device) for f in functions.values()]
        took = [statistics.median(t) for t in times[what, num].values()]
        rows.append([
            what,
            str(num), *(f'{1000 * t:.1f}' for t in took),
            ratio(*took), *(f'{m:.1f}' for m in memory),
            ratio(*memory)
        ])
    text = markdown_table([
        '', 'boxes an image', 'FCOSHead (ms)', 'OWPFCOSHead (ms)', 'ratio',
        'FCOSHead (MiB)', 'OWPFCOSHead (MiB)', 'ratio'
    ], rows)
    where = 'CPU'
    if args.device != 'cpu':
        where = torch.cuda.get_device_name()
    height, width = args.size
    text = (f'{args.images} images of {width} x {height}, {where}, torch '
            f'{torch.__version__}, {torch.get_num_threads()} threads, seed '
            f'{args.seed}.\n\n{text}')
    print(text)
    if args.out:
        Path(args.out).write_text(text + '\n')


if __name__ == '__main__':
    main()
