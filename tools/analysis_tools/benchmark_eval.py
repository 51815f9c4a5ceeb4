r"""Time evaluators on the same proposals or detections, and compare them.

    python tools/analysis_tools/benchmark_eval.py ANN.json --num 100 1000
    python tools/analysis_tools/benchmark_eval.py ANN.json --measure coco \
        --num 100

pycocotools, faster-coco-eval and mmdet_owp.recall each run in their own
process on the same proposals: --num boxes for each of --images images (those
of the annotation file, repeated as needed), half of them jittered objects,
half anywhere, by descending score.

The time covers everything from the parsed annotations and the result arrays
to the metrics, including building indices: recall at ten IoU thresholds, area
`all`, k of 10, 100 and 1000 (up to --num), and precision. The time to parse
the annotation file is printed separately.

--measure coco evaluates class-wise AP and AR over the classes of the file,
--measure lvis federated ones over the classes of LVIS v1, which the objects
get at random; both at four area ranges.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmdet_owp import cli
from mmdet_owp.errors import check_writable, writing
from mmdet_owp.reproduction.evaluator_timing import (
    EVALUATORS,
    MEASURES,
    Benchmark,
    Timing,
)
from mmdet_owp.tables import markdown_table

HEADING = ['evaluator', 'seconds', 'times ours', 'memory (GiB)',
           'difference of recall', 'of precision']  # fmt: skip


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    add = parser.add_argument
    add('annotations', help='COCO annotation file')
    partition = 'name of a partition, or the base classes'
    add('--partition', default='voc', help=partition)
    add(
        '--num',
        nargs='+',
        type=cli.positive,
        default=[100, 1000],
        help='proposals per image',
    )
    add('--images', type=cli.positive, default=5000, help='number of images')
    add('--seed', type=int, default=0, help='random seed of the proposals')
    add('--threads', type=cli.positive, default=2, help='CPU cores to use')
    add(
        '--repeat',
        type=cli.positive,
        default=3,
        help='runs of an evaluator that takes less than a minute; the fastest '
        'counts',
    )
    add('--measure', choices=MEASURES, default='recall')
    add(
        '--evaluators',
        nargs='+',
        choices=EVALUATORS,
        help='default: all that compute the measure',
    )
    add('--out', help='write the table, as Markdown')
    args = parser.parse_args()
    if min(args.num) < 10:
        parser.error('--num must be at least 10')
    other = 'pycocotools' if args.measure == 'lvis' else 'lvis'
    if args.evaluators is None:
        args.evaluators = [e for e in EVALUATORS if e != other]
    if other in args.evaluators:
        parser.error(f'{other} does not compute --measure {args.measure}')
    return args


def difference(values: np.ndarray, others: np.ndarray) -> str:
    """Compare arrays that have -1 or NaN where there is no object."""
    values, others = (np.nan_to_num(v, nan=-1) for v in (values, others))
    return f'{np.abs(values - others).max():.1e}'


def table(num: int, timings: Mapping[str, Timing]) -> str:
    """Format the timings of ``num`` proposals per image."""
    first, *_, last = [*timings.values()] * 2
    ours = timings['mmdet_owp'].seconds if 'mmdet_owp' in timings else np.nan
    rows = [
        [
            name,
            f'{timing.seconds:.2f}',
            f'{timing.seconds / ours:.1f}',
            f'{timing.peak:.2f} ({timing.before:.2f} before)',
            difference(timing.recall, first.recall),
            difference(timing.precision, first.precision),
        ]
        for name, timing in timings.items()
    ]
    return (
        f'{num} boxes per image, {last.objects} objects; parsing the '
        f'annotation file takes {last.parsing:.2f} s more.\n\n'
        f'{markdown_table(HEADING, rows)}\n'
    )


def main() -> None:
    """Time every evaluator and print the table."""
    args = parse_args()
    options = (args.images, args.seed, args.threads, args.repeat)
    benchmark = Benchmark(
        args.annotations, args.partition, *options, args.measure
    )
    with cli.report_errors():
        check_writable(args.out)
        tables = []
        for num in args.num:
            timings = {}
            for name in args.evaluators:
                task = f'{name}, {args.images} images x {num} …'
                print(task, file=sys.stderr, flush=True)
                timings[name] = benchmark.time(name, num)
            tables.append(table(num, timings))
        text = '\n'.join(tables)
        print(text)
        if args.out:
            with writing(args.out):
                Path(args.out).write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
