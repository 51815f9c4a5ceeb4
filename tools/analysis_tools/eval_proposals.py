"""Judge files of proposals by class-agnostic recall, without a model.

    python tools/analysis_tools/eval_proposals.py ANN.json PROPOSALS.json \
        --partition voc --split novel --protocol both --k 1 10 100 300 1000

Proposals are COCO results (.json) of any detector, pickles of mmdet 2 or 3
and OLN, or .npz (see mmdet_owp/evaluation/proposal_files.py). Two files are
compared: the difference of each AR@k with a 95% interval by paired bootstrap
over the images. Values are from 0 to 1; docs/protocols.md says what they mean.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmdet_owp.evaluation import offline
from mmdet_owp.evaluation.class_wise import STYLES, evaluate_class_wise
from mmdet_owp.evaluation.proposal_files import ProposalRows, read_proposals
from mmdet_owp.partitions import SPLITS, Partition
from mmdet_owp.recall import (
    PROTOCOLS,
    Evaluation,
    GroundTruth,
    bootstrap_difference,
)
from mmdet_owp.tables import Rows, text_table, transpose


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = offline.parser(__doc__)
    parser.add_argument(
        'proposals',
        nargs='+',
        help='file of proposals; of two, the second '
        'is compared with the first',
    )
    parser.add_argument(
        '--split',
        nargs='+',
        choices=SPLITS,
        help='whose recall is asked for (default: novel, or all without a '
        'partition)',
    )
    parser.add_argument(
        '--protocol', choices=[*PROTOCOLS, 'both'], default='both'
    )
    parser.add_argument(
        '--k',
        nargs='+',
        type=int,
        default=[10, 100],
        help='proposals an image (default: 10 100)',
    )
    parser.add_argument(
        '--details',
        action='store_true',
        help='print recall by class and IoU, too (it is always written)',
    )
    parser.add_argument(
        '--class-wise',
        action='store_true',
        help="class-agnostic off: the classes of the split's detections "
        'count, and AP and AR are means over them',
    )
    parser.add_argument(
        '--style',
        choices=STYLES,
        default='coco',
        help='of --class-wise; lvis is federated',
    )
    parser.add_argument(
        '--out',
        metavar='FOLDER',
        default='work_dirs/eval_proposals',
        help='where recall.json and recall.csv are written (default: '
        'work_dirs/eval_proposals)',
    )
    parser.add_argument(
        '--resamples', type=int, default=1000, help='of the bootstrap'
    )
    parser.add_argument('--seed', type=int, default=0, help='likewise')
    args = parser.parse_args()
    if len(args.proposals) > 2:
        parser.error('give one file of proposals, or two to compare')
    if min(args.k) < 1:
        parser.error('--k must be positive')
    args.split = args.split or [offline.usual_split(args)]
    for split in args.split:
        offline.check_split(parser, args, split)
    return args


def judge(
    args: argparse.Namespace,
    partition: Partition,
    truth: GroundTruth,
    rows: ProposalRows,
) -> dict[str, Evaluation]:
    """Evaluate one file, by split and protocol."""
    evaluator = offline.evaluator(truth, rows)
    protocols = PROTOCOLS if args.protocol == 'both' else [args.protocol]
    found = {
        f'{partition.prefix(split)}_{protocol}': evaluator.evaluate(
            partition.categories(split), protocol, args.k
        )
        for split in args.split
        for protocol in protocols
    }
    offline.warn(found)
    return found


def judge_classes(
    args: argparse.Namespace,
    partition: Partition,
    annotations: Mapping,
    rows: ProposalRows,
) -> Rows:
    """Evaluate one file class by class."""
    metrics = {}
    for split in args.split:
        categories = partition.categories(split)
        labels = rows.labels
        if rows.label_is_position:
            ids = list(categories)
            if len(labels) and labels.max() >= len(ids):
                raise ValueError(
                    f'labels up to {labels.max()}, but --split {split} has '
                    f'{len(ids)} classes: choose that of the detector'
                )
            labels = np.array(ids)[labels]
        metrics[f'{partition.prefix(split)}_class-wise'] = evaluate_class_wise(
            annotations,
            categories,
            rows.image_ids,
            rows.boxes,
            rows.scores,
            labels,
            args.style,
        )
    return metrics


def write(folder: Path, metrics: Mapping[str, Rows]) -> None:
    """Write the numbers of all files as JSON and CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'recall.json').write_text(json.dumps(metrics, indent=1) + '\n')
    with open(folder / 'recall.csv', 'w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['proposals', 'split_protocol', 'metric', 'value'])
        writer.writerows(
            [path, name, key, value]
            for path, rows in metrics.items()
            for name, values in rows.items()
            for key, value in values.items()
        )
    print(f'written: {folder}/recall.json, {folder}/recall.csv')


def main() -> None:
    """Judge the files and print, write and compare their numbers."""
    args = parse_args()
    source, metrics, evaluations = args.annotations, {}, []
    try:
        annotations, partition, truth = offline.read_truth(args)
        for source in args.proposals:
            print(f'{source}: ', end='', flush=True)  # reading takes its time
            rows = read_proposals(
                source,
                annotations['images'],
                detections=args.class_wise,
                trust=args.trust,
            )
            print(f'{len(rows.scores)} proposals')
            if args.class_wise:
                metrics[source] = judge_classes(
                    args, partition, annotations, rows
                )
                print(text_table(transpose(metrics[source])))
                continue
            found = judge(args, partition, truth, rows)
            evaluations.append(found)
            table = {name: one.metrics() for name, one in found.items()}
            details = {
                name: one.details(partition.categories(split))
                for split in args.split
                for name, one in found.items()
                if name.startswith(f'{partition.prefix(split)}_')
            }
            print(text_table(transpose(table)))
            for split in args.split if args.details else ():
                print(
                    text_table(
                        transpose(
                            {
                                name: values
                                for name, values in details.items()
                                if name.startswith(
                                    f'{partition.prefix(split)}_'
                                )
                            }
                        )
                    )
                )
            metrics[source] = {
                name: {**table[name], **details[name]} for name in table
            }
    except (OSError, ValueError) as error:
        sys.exit(offline.one_line(source, error))
    if len(evaluations) == 2:
        compared = {}
        for name, first in evaluations[0].items():
            second = evaluations[1][name]
            for k in args.k:
                difference, low, high = bootstrap_difference(
                    first, second, k, args.resamples, args.seed
                )
                compared[f'{name}/AR@{k}'] = dict(
                    first=first.average_recall(k),
                    second=second.average_recall(k),
                    difference=difference,
                    low=low,
                    high=high,
                )
        print(
            'difference and 95% interval (paired bootstrap over images, '
            f'{args.resamples} resamples, seed {args.seed})'
        )
        print(text_table(compared))
        metrics['difference'] = compared
    write(Path(args.out), metrics)


if __name__ == '__main__':
    main()
