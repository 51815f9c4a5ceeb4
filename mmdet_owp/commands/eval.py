r"""Evaluate proposal files by class-agnostic recall, without a model.

    python tools/analysis_tools/eval_proposals.py ANN.json PROPOSALS.json \
        --partition voc --split novel --protocol all --k 1 10 100 300 1000

Proposals are COCO results (.json) of any detector, pickles of mmdet 2 or 3
and OLN, or .npz (see mmdet_owp/evaluation/proposal_files.py). Two files are
compared: the difference of each AR@k with a 95% interval by paired bootstrap
over the images. Values are from 0 to 1; docs/protocols.md explains them.
"""

from __future__ import annotations

import csv
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet_owp import cli
from mmdet_owp.errors import check_writable, writing
from mmdet_owp.evaluation.class_wise import STYLES
from mmdet_owp.evaluation.file_evaluation import AnnotationFile, compare
from mmdet_owp.evaluation.hints import box_hints, category_hints
from mmdet_owp.evaluation.proposal_files import ProposalRows, read_proposals
from mmdet_owp.partitions import SPLITS
from mmdet_owp.recall import PROTOCOLS, Evaluation
from mmdet_owp.tables import Rows, json_text, text_table, transpose


def add_annotation_arguments(parser: ArgumentParser) -> None:
    """Add the annotation file, ``--partition`` and ``--trust``."""
    parser.add_argument(
        'annotations',
        help='COCO annotation file with the objects of base and novel classes',
    )
    parser.add_argument(
        '--partition',
        help='name of a partition, such as voc, or the base classes (names '
        'or ids), separated by commas (default: evaluate all classes)',
    )
    parser.add_argument(
        '--trust',
        action='store_true',
        help='let pickles call any function; only for files of authors you '
        'trust',
    )


def add_split_argument(parser: ArgumentParser, **kwargs: Any) -> None:
    """Add ``--split``; ``kwargs`` are further ones of ``add_argument``."""
    parser.add_argument(
        '--split',
        choices=SPLITS,
        help='classes to evaluate (default: novel, or all without a '
        'partition)',
        **kwargs,
    )


def check_split(
    parser: ArgumentParser, partition: str | None, splits: Collection[str]
) -> None:
    """Exit with a usage error if a split needs a partition."""
    if not partition and set(splits) - {'all'}:
        parser.error('--split novel or base needs a --partition')


def parser() -> ArgumentParser:
    """Return the argument parser."""
    parser = cli.parser(__doc__)
    add_annotation_arguments(parser)
    parser.add_argument(
        'proposals',
        nargs='+',
        help='proposal file; a second one is compared with the first',
    )
    add_split_argument(parser, nargs='+')
    parser.add_argument(
        '--protocol',
        choices=[*PROTOCOLS, 'both', 'all'],
        default='all',
        help='which proposals count; both: drop-base and exclude-base '
        '(default: all)',
    )
    parser.add_argument(
        '--k',
        nargs='+',
        type=cli.positive,
        default=[10, 100],
        help='numbers of proposals per image (default: 10 100)',
    )
    parser.add_argument(
        '--details',
        action='store_true',
        help='also print recall per class and IoU threshold (always written)',
    )
    parser.add_argument(
        '--class-wise',
        action='store_true',
        help='evaluate class detections instead: AP and AR as means over the '
        'classes of the split',
    )
    parser.add_argument(
        '--style',
        choices=STYLES,
        default='coco',
        help='rules of --class-wise; those of lvis are federated',
    )
    parser.add_argument(
        '--out',
        metavar='FOLDER',
        default='work_dirs/eval_proposals',
        help='folder for recall.json and recall.csv (default: %(default)s)',
    )
    parser.add_argument(
        '--resamples',
        type=cli.positive,
        default=1000,
        help='resamples of the bootstrap (default: %(default)s)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='random seed of the bootstrap (default: %(default)s)',
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate the files; print, write and compare their metrics."""
    p = parser()
    args = p.parse_args(argv)
    if len(args.proposals) > 2:
        p.error('give one proposal file, or two to compare')
    args.split = args.split or ['novel' if args.partition else 'all']
    check_split(p, args.partition, args.split)
    with cli.report_errors():
        _evaluate_files(args)


def _evaluate_files(args: Namespace) -> None:
    check_writable(args.out, folder=True)
    data = AnnotationFile.read(args.annotations, args.partition)
    metrics: dict[str, Rows] = {}
    evaluations = []
    for path in args.proposals:
        rows = read_proposals(
            path,
            data.content['images'],
            detections=args.class_wise,
            trust=args.trust,
        )
        print(f'{path}: {len(rows.scores)} proposals')
        hints = box_hints(rows, data.content['images'])
        if args.class_wise:
            categories = data.content['categories']
            hints += category_hints(rows, {c['id'] for c in categories})
        for hint in hints:
            print(f'warning: {path}: {hint}')
        if args.class_wise:
            metrics[path] = {
                f'{data.partition.prefix(split)}_class-wise': (
                    data.evaluate_classes(rows, path, split, args.style)
                )
                for split in args.split
            }
            print(text_table(transpose(metrics[path])))
        else:
            by_split = _evaluate_recall(args, data, rows, path)
            metrics[path] = _print_recall(args, data, by_split)
            evaluations.append(
                {n: e for found in by_split.values() for n, e in found.items()}
            )
    if len(evaluations) == 2:
        print(
            'difference and 95% interval (paired bootstrap over images, '
            f'{args.resamples} resamples, seed {args.seed})'
        )
        first, second = evaluations
        metrics['difference'] = compare(
            first, second, args.k, args.resamples, args.seed
        )
        print(text_table(metrics['difference']))
    _write(Path(args.out), metrics)


def _evaluate_recall(
    args: Namespace, data: AnnotationFile, rows: ProposalRows, path: str
) -> dict[str, dict[str, Evaluation]]:
    """Evaluate a file; return evaluations by split and metric prefix."""
    evaluator = data.evaluator(rows, path)
    missing = len(data.ground_truth.image_ids) - evaluator.proposals.num_images
    if missing:
        print(
            f'{missing} images have no proposals: their objects count as '
            'missed.'
        )
    several = dict(all=[*PROTOCOLS], both=['drop-base', 'exclude-base'])
    protocols = several.get(args.protocol, [args.protocol])
    by_split = {
        split: {
            f'{data.partition.prefix(split)}_{protocol}': evaluator.evaluate(
                data.partition.categories(split), protocol, args.k
            )
            for protocol in protocols
        }
        for split in args.split
    }
    for found in by_split.values():
        print_warnings(found)
    return by_split


def print_warnings(evaluations: Mapping[str, Evaluation]) -> None:
    """Print which evaluations suffer from truncated proposal lists."""
    for name, evaluation in evaluations.items():
        warning = evaluation.cut_short()
        if warning:
            print(f'warning: {name}: {warning}')


def _print_recall(
    args: Namespace,
    data: AnnotationFile,
    by_split: Mapping[str, Mapping[str, Evaluation]],
) -> Rows:
    """Print the metrics of a file; return them with all details."""
    table = {
        name: evaluation.metrics()
        for found in by_split.values()
        for name, evaluation in found.items()
    }
    print(text_table(transpose(table)))
    metrics = {}
    for split, found in by_split.items():
        categories = data.partition.categories(split)
        details = {name: e.details(categories) for name, e in found.items()}
        if args.details:
            print(text_table(transpose(details)))
        for name in found:
            metrics[name] = {**table[name], **details[name]}
    return metrics


def _write(folder: Path, metrics: Mapping[str, Rows]) -> None:
    """Write the metrics of all files as JSON and CSV."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / 'recall.json'
        path.write_text(json_text(metrics, indent=1) + '\n', encoding='utf-8')
        with open(
            folder / 'recall.csv', 'w', encoding='utf-8', newline=''
        ) as file:
            writer = csv.writer(file)
            writer.writerow(['proposals', 'split_protocol', 'metric', 'value'])
            writer.writerows(
                [path, name, key, value]
                for path, rows in metrics.items()
                for name, values in rows.items()
                for key, value in values.items()
            )
    print(f'written: {folder}/recall.json, {folder}/recall.csv')
