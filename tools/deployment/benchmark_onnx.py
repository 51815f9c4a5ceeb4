r"""Compare the speed of an ONNX model with that of the detector, on the CPU.

    python tools/deployment/benchmark_onnx.py CONFIG CHECKPOINT \
        --images IMAGE... --json times.json

Both start from the pixels of one resized image and end with its proposals
after NMS, with equally many threads. They take turns in one process. The table
shows medians and, in brackets, the fastest and the slowest turn.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from mmdet_owp import cli
from mmdet_owp.deployment import onnx_check, onnx_export
from mmdet_owp.engine.detector import load_detector
from mmdet_owp.engine.launch import read_config
from mmdet_owp.errors import check_writable, writing
from mmdet_owp.reproduction.timing import take_turns
from mmdet_owp.tables import markdown_table

HEADING = ['image', 'proposals, eager / ONNX', 'difference (pixels / score)',
           'eager (ms)', 'ONNX (ms)', 'ratio']  # fmt: skip


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    add = parser.add_argument
    add('config', help='config file')
    weights = 'checkpoint file (default: random weights)'
    add('checkpoint', nargs='?', help=weights)
    images = 'image files, resized by the test pipeline'
    add('--images', nargs='+', default=[], help=images)
    add(
        '--size',
        nargs=2,
        type=cli.positive,
        default=[512, 640],
        metavar=('HEIGHT', 'WIDTH'),
        help='size of the noise image used without --images',
    )
    turns = 'maximum number of turns'
    add('--repeat', type=cli.positive, default=20, help=turns)
    add('--threads', type=cli.positive, default=1, help='CPU cores to use')
    add('--seed', type=int, default=0)
    add('--json', help='file for every time, in seconds')
    return parser.parse_args()


def measure(args: argparse.Namespace) -> list[dict]:
    """Time both on every image."""
    onnx_export.check_installed()
    config = read_config(args.config)
    torch.manual_seed(args.seed)
    detector = load_detector(config, args.checkpoint)
    images = list(onnx_check.read_images(config, args.images))
    if not images:
        rng = np.random.default_rng(args.seed)
        images = [rng.integers(0, 256, (*args.size, 3), np.uint8)]
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / 'model.onnx')
        onnx_export.export_onnx(detector, path)
        session = onnx_check.open_model(path, args.threads)
        for image in images:
            image = image[None]
            cfg = detector.bbox_head.proposal_cfg
            calls = dict(
                eager=partial(onnx_check.propose_eagerly, detector, image),
                onnx=partial(onnx_check.propose_by_onnx, session, image, cfg),
            )
            proposals = [call()[0] for call in calls.values()]
            box, score = onnx_check.largest_difference(*proposals)
            # A turn needs no preparation.
            parts = {name: partial(partial, c) for name, c in calls.items()}
            measured.append(
                dict(
                    size=image.shape[1:3],
                    proposals=[len(boxes) for boxes, _ in proposals],
                    box_difference=box,
                    score_difference=score,
                    seconds=take_turns(parts, args.repeat),
                )
            )
    return measured


def table(measured: list[dict]) -> str:
    """Format the measurements."""
    rows = []
    for row in measured:
        size = '{1} x {0}'.format(*row['size'])
        numbers = ' / '.join(map(str, row['proposals']))
        differences = (
            f'{row["box_difference"]:.0e} / {row["score_difference"]:.0e}'
        )
        times = [1000 * np.array(t) for t in row['seconds'].values()]
        medians = [np.median(t) for t in times]
        shown = (
            f'{median:.1f} ({min(t):.1f} to {max(t):.1f})'
            for median, t in zip(medians, times)
        )
        ratio = f'{medians[1] / medians[0]:.2f}'
        rows.append([size, numbers, differences, *shown, ratio])
    return markdown_table(HEADING, rows)


def report(args: argparse.Namespace, measured: list[dict]) -> None:
    """Print the table and write the times."""
    import onnxruntime

    print(
        f'{args.config}, {args.checkpoint or "random weights"}, CPU, torch '
        f'{torch.__version__}, onnxruntime {onnxruntime.__version__}, '
        f'{args.threads} thread(s), seed {args.seed}.\n\n{table(measured)}'
    )
    if args.json:
        names = ('config', 'checkpoint', 'threads', 'seed')
        content = {name: getattr(args, name) for name in names}
        content['torch'] = torch.__version__
        content['onnxruntime'] = onnxruntime.__version__
        content['images'] = measured
        with writing(args.json):
            Path(args.json).write_text(
                json.dumps(content, indent=2) + '\n', encoding='utf-8'
            )


def main() -> None:
    """Measure and report."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    with cli.report_errors():
        check_writable(args.json)
        report(args, measure(args))


if __name__ == '__main__':
    main()
