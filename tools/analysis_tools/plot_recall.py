"""Plot recall against the number of proposals, and recall by class.

    python tools/analysis_tools/plot_recall.py ANN.json \
        'IoU=iou.pkl' 'FCOS=fcos.pkl' --partition voc --out recall.png

Files of proposals are those of eval_proposals.py: COCO results, pickles of
mmdet 2 or 3 and OLN, or .npz. Above AR@k of k = 1 to `--max-k`, a line a
file; below AR@k of each class for `-k` proposals, in percent. Neither model
nor images are needed.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from mmdet_owp.cli import labelled
from mmdet_owp.evaluation import offline
from mmdet_owp.evaluation.proposal_files import read_proposals
from mmdet_owp.partitions import SPLITS
from mmdet_owp.recall import PROTOCOLS, Evaluation
from mmdet_owp.visualization import style
from mmdet_owp.visualization.curves import draw_curves


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = offline.parser(__doc__)
    parser.add_argument(
        'files', nargs='+', type=labelled, metavar='LABEL=PROPOSALS'
    )
    parser.add_argument(
        '--split',
        choices=SPLITS,
        help='whose recall is asked for (default: novel, or all without a '
        'partition)',
    )
    parser.add_argument('--protocol', choices=PROTOCOLS, default='drop-base')
    parser.add_argument('--max-k', type=int, default=1000, help='of the curve')
    parser.add_argument(
        '-k', type=int, default=100, help='of the classes (default: 100)'
    )
    parser.add_argument(
        '--classes',
        type=int,
        default=60,
        metavar='N',
        help='draw those with the most objects (default: 60)',
    )
    parser.add_argument(
        '--out',
        required=True,
        type=style.picture_path,
        help='picture to write',
    )
    args = parser.parse_args()
    for label, files in args.files:
        if len(files) > 1:
            parser.error(f'{label}: give one file of proposals')
    if min(args.k, args.max_k, args.classes) < 1:
        parser.error('-k, --max-k and --classes must be positive')
    args.split = args.split or offline.usual_split(args)
    offline.check_split(parser, args, args.split)
    return args


def draw(
    args: argparse.Namespace,
    found: dict[str, Evaluation],
    names: dict[int, str],
) -> None:
    """Draw the picture.

    Args:
        args (argparse.Namespace): of the command line.
        found (dict[str, Evaluation]): of the files, by label.
        names (dict[int, str]): of the classes asked for, by category id.
    """
    first = next(iter(found.values()))
    objects = first.ground_truth.category[first.wanted['all']]
    ids, counts = np.unique(objects, return_counts=True)
    ids = ids[np.argsort(-counts, kind='stable')][: args.classes]
    with style.new_figure(
        2, 1, 3.4, f'{args.split} objects, protocol {args.protocol}'
    ) as (figure, axes):
        curves, bars = axes[:, 0]
        width = 0.8 / len(found)
        for i, (label, evaluation) in enumerate(found.items()):
            recalls = 100 * evaluation.average_recalls(args.max_k)
            draw_curves(
                curves,
                [dict(enumerate(recalls.tolist(), 1))],
                dict(style.series(i), label=label),
            )
            by_class = evaluation.average_recall_by_class(args.k)
            bars.bar(
                np.arange(len(ids)) + (i + 0.5) * width - 0.4,
                [100 * by_class[j] for j in ids.tolist()],
                width,
                color=style.series(i)['color'],
            )
        curves.set_xscale('log')
        curves.set_xlim(1, args.max_k)
        curves.xaxis.set_major_formatter('{x:g}')
        curves.set_xlabel('k, proposals an image')
        curves.set_ylabel('AR@k (%)')
        curves.legend()
        bars.set_xticks(
            range(len(ids)), [names[i] for i in ids.tolist()], rotation=90
        )
        bars.set_xlim(-0.6, len(ids) - 0.4)
        bars.grid(axis='x', visible=False)
        bars.set_ylabel(f'AR@{args.k} (%)')
        style.save(figure, args.out)


def main() -> None:
    """Judge the files and draw."""
    args = parse_args()
    source, found = args.annotations, {}
    try:
        annotations, partition, truth = offline.read_truth(args)
        names = partition.categories(args.split)
        for label, (source,) in args.files:
            rows = read_proposals(
                source, annotations['images'], trust=args.trust
            )
            found[label] = offline.evaluator(truth, rows).evaluate(
                names, args.protocol, (args.k, args.max_k)
            )
    except (OSError, ValueError) as error:
        sys.exit(offline.one_line(source, error))
    if not any(e.wanted['all'].any() for e in found.values()):
        sys.exit(
            f'error: {args.annotations}: no {args.split} objects, whose '
            'recall could be drawn'
        )
    offline.warn(found)
    for label, evaluation in found.items():
        print(f'{label}: AR@{args.k} {evaluation.average_recall(args.k):.4f}')
    draw(args, found, names)


if __name__ == '__main__':
    main()
