r"""Sort the objects that proposals miss by why they are missed.

    python tools/analysis_tools/explain_recall.py ANN.json PROPOSALS.json \
        --partition voc

A miss is *beyond k* (met, but by a proposal that is ranked too low), *taken*
(a proposal has enough IoU, but was matched to another object), *badly
localized* (best IoU from 0.3 to the threshold) or *none near*. Proposals are
read as by eval_proposals.py.
"""

from __future__ import annotations

import csv
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmdet_owp import cli
from mmdet_owp.commands.eval import (
    add_annotation_arguments,
    add_split_argument,
    check_split,
)
from mmdet_owp.errors import check_writable, writing
from mmdet_owp.evaluation.file_evaluation import AnnotationFile
from mmdet_owp.evaluation.proposal_files import read_proposals
from mmdet_owp.recall import AREA_RANGES, IOU_THRS, PROTOCOLS
from mmdet_owp.recall.explanation import Explanation, explain
from mmdet_owp.tables import markdown_table

COLUMNS = dict(
    beyond='beyond k', taken='taken', near='badly localized', none='none near'
)
SIZES = dict(all='all', s='small', m='medium', l='large')


def parse_args() -> Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    add_annotation_arguments(parser)
    add = parser.add_argument
    add('proposals', help='proposal file')
    add_split_argument(parser)
    protocol = 'which proposals count'
    add('--protocol', choices=PROTOCOLS, default='drop-base', help=protocol)
    k = 'numbers of proposals per image'
    add('--k', nargs='+', type=cli.positive, default=[10, 100, 1000], help=k)
    thrs = [round(thr, 2) for thr in IOU_THRS]
    iou = 'IoU thresholds, of 0.5, 0.55, ..., 0.95'
    add(
        '--iou',
        nargs='+',
        type=float,
        choices=thrs,
        metavar='IOU',
        default=[0.5, 0.75],
        help=iou,
    )
    out = 'write all counts, those per class included'
    add('--out', metavar='FILE.csv', help=out)
    args = parser.parse_args()
    args.split = args.split or ('novel' if args.partition else 'all')
    check_split(parser, args.partition, [args.split])
    args.levels = {thr: thrs.index(thr) for thr in args.iou}
    return args


def counts_of(
    why: Explanation, groups: dict[str, np.ndarray], k: int, level: int
) -> Iterator[tuple[str, int, dict[str, int]]]:
    """Yield name, number of objects and counts of groups with objects."""
    for name, rows in groups.items():
        num = int(np.count_nonzero(rows))
        if num:
            yield name, num, why.counts(k, level, rows)


def table_of(why: Explanation, groups: dict, k: int, level: int) -> str:
    """Lay out the counts of groups of objects."""
    return markdown_table(
        ['', 'objects', 'recall', *COLUMNS.values()],
        [
            [
                name,
                str(num),
                f'{counts["met"] / num:.4f}',
                *(str(counts[key]) for key in COLUMNS),
            ]
            for name, num, counts in counts_of(why, groups, k, level)
        ],
    )


def write(path: Path, args: Namespace, why: Explanation, groups: dict) -> None:
    """Write all counts as CSV."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, 'w', encoding='utf-8', newline='') as file:
            writer = csv.writer(file)
            heading = ['iou', 'k', 'group', 'objects', 'met', *COLUMNS]
            writer.writerow(heading)
            for thr, level in args.levels.items():
                for k in args.k:
                    for name, num, counts in counts_of(why, groups, k, level):
                        row = (counts[key] for key in heading[4:])
                        writer.writerow([thr, k, name, num, *row])


def run(args: Namespace) -> None:
    """Print where the recall of a file goes."""
    check_writable(args.out)
    data = AnnotationFile.read(args.annotations, args.partition)
    rows = read_proposals(
        args.proposals, data.content['images'], trust=args.trust
    )
    classes = data.partition.categories(args.split)
    evaluator = data.evaluator(rows, args.proposals)
    why = explain(evaluator, classes, args.protocol)
    truth = data.ground_truth
    areas, category = truth.areas[why.objects], truth.category[why.objects]
    sizes = {
        SIZES[name]: (areas >= low) & (areas <= high)
        for name, (low, high) in AREA_RANGES.items()
    }
    by_class = {name: category == i for i, name in classes.items()}
    prefix = f'{data.partition.prefix(args.split)}_{args.protocol}'
    for thr, level in args.levels.items():
        for k in args.k:
            print(f'\n{prefix}, IoU {thr}, k = {k}')
            print(table_of(why, sizes, k, level))
    k, (thr, level) = args.k[len(args.k) // 2], next(iter(args.levels.items()))
    print(f'\n{prefix} per class, IoU {thr}, k = {k}, most misses first')

    def misses(name: str) -> int:
        outcome = why.outcome[level, by_class[name]]
        return -np.count_nonzero((outcome < 0) | (outcome >= k))

    order = sorted(by_class, key=misses)
    by_class = {name: by_class[name] for name in order}
    print(table_of(why, by_class, k, level))
    if args.out:
        of_class = {f'class {n}': mask for n, mask in by_class.items()}
        write(Path(args.out), args, why, {**sizes, **of_class})


def main() -> None:
    """Run the tool."""
    args = parse_args()
    with cli.report_errors():
        run(args)


if __name__ == '__main__':
    main()
