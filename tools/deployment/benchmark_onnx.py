"""Time proposals by ONNX against the detector's own, on the CPU.

    python tools/deployment/benchmark_onnx.py CONFIG CHECKPOINT \
        --images IMAGE... --json times.json

Both start from the pixels of one resized image and end with its proposals,
NMS included, and have as many threads. They take turns in one process; given
are medians and, in brackets, the fastest and the slowest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch

from mmdet_owp.deployment import onnx_check, onnx_export
from mmdet_owp.engine.launch import one_line_errors, read_config
from mmdet_owp.reproduction.timing import take_turns
from mmdet_owp.tables import markdown_table


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config')
    parser.add_argument(
        'checkpoint', nargs='?', help='without it weights are random'
    )
    parser.add_argument(
        '--images',
        nargs='+',
        default=[],
        help="as the test set's pipeline resizes them",
    )
    parser.add_argument(
        '--size',
        nargs=2,
        type=int,
        default=[512, 640],
        metavar=('HEIGHT', 'WIDTH'),
        help='of an image of noise, where there are none (default: 512 640)',
    )
    parser.add_argument(
        '--repeat', type=int, default=20, help='turns at most (default: 20)'
    )
    parser.add_argument('--threads', type=int, default=1, help='(default: 1)')
    parser.add_argument('--seed', type=int, default=0, help='(default: 0)')
    parser.add_argument('--json', help='write every time, in seconds')
    args = parser.parse_args()
    if min(args.repeat, args.threads, *args.size) < 1:
        parser.error('--repeat, --threads and --size must be at least 1')
    return args


def measure(args: argparse.Namespace) -> list[dict]:
    """Time both on every image."""
    onnx_export.check_installed()
    config = read_config(args.config)
    torch.manual_seed(args.seed)
    detector = onnx_export.load_detector(config, args.checkpoint)
    noise = np.random.default_rng(args.seed).integers(
        0, 256, (*args.size, 3), np.uint8
    )
    images = onnx_check.read_images(config, args.images)
    cfg = detector.bbox_head.proposal_cfg
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / 'model.onnx')
        onnx_export.export_onnx(detector, path)
        session = onnx_check.open_model(path, args.threads)
        for image in images if args.images else [noise]:
            image = image[None]
            # There is nothing to prepare for a turn but the call itself.
            parts = dict(
                eager=partial(
                    partial, onnx_check.propose_eagerly, detector, image
                ),
                onnx=partial(
                    partial, onnx_check.propose_by_onnx, session, image, cfg
                ),
            )
            found = [prepare()()[0] for prepare in parts.values()]
            box, score = onnx_check.largest_difference(*found)
            measured.append(
                dict(
                    size=image.shape[1:3],
                    proposals=[len(boxes) for boxes, _ in found],
                    box_difference=box,
                    score_difference=score,
                    seconds=take_turns(parts, args.repeat),
                )
            )
    return measured


def table(measured: list[dict]) -> str:
    """Lay out what was measured."""
    rows = []
    for row in measured:
        times = row['seconds'].values()
        medians = [statistics.median(t) for t in times]
        rows.append(
            [
                '{1} x {0}'.format(*row['size']),
                ' / '.join(map(str, row['proposals'])),
                f'{row["box_difference"]:.0e} / {row["score_difference"]:.0e}',
                *(
                    f'{1000 * median:.1f} ({1000 * min(t):.1f} to '
                    f'{1000 * max(t):.1f})'
                    for median, t in zip(medians, times)
                ),
                f'{medians[1] / medians[0]:.2f}',
            ]
        )
    return markdown_table(
        [
            'image',
            'proposals, eager / ONNX',
            'difference (pixels / score)',
            'eager (ms)',
            'ONNX (ms)',
            'ratio',
        ],
        rows,
    )


def main() -> None:
    """Measure and print the table."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    with one_line_errors():
        measured = measure(args)
    import onnxruntime

    settings = dict(
        config=args.config,
        checkpoint=args.checkpoint,
        torch=torch.__version__,
        onnxruntime=onnxruntime.__version__,
        threads=args.threads,
        seed=args.seed,
    )
    print(
        f'{args.config}, {args.checkpoint or "random weights"}, CPU, torch '
        f'{torch.__version__}, onnxruntime {onnxruntime.__version__}, '
        f'{args.threads} thread(s), seed {args.seed}.\n\n{table(measured)}'
    )
    if args.json:
        text = json.dumps(dict(settings, images=measured), indent=2)
        try:
            Path(args.json).write_text(text + '\n')
        except OSError as error:
            sys.exit(
                f'error: {args.json}: {error.strerror}; the table above '
                'is complete'
            )


if __name__ == '__main__':
    main()
