r"""Plot recall over the number of proposals, and recall per class.

    python tools/analysis_tools/plot_recall.py ANN.json \
        'IoU=iou.pkl' 'FCOS=fcos.pkl' --partition voc --out recall.png

Proposal files are those of eval_proposals.py: COCO results, pickles of mmdet
2 or 3 and OLN, or .npz. The upper panel shows AR@k for k = 1 to `--max-k`,
one line per file; the lower one AR@k per class for `-k` proposals, in percent.
Neither model nor images are needed.
"""

from __future__ import annotations

import argparse

from mmdet_owp import cli
from mmdet_owp.commands.eval import (
    add_annotation_arguments,
    add_split_argument,
    check_split,
    print_warnings,
)
from mmdet_owp.errors import UserError, writing
from mmdet_owp.evaluation.file_evaluation import AnnotationFile
from mmdet_owp.evaluation.proposal_files import read_proposals
from mmdet_owp.recall import PROTOCOLS
from mmdet_owp.visualization.recall_plot import draw_recall


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = cli.parser(__doc__)
    add_annotation_arguments(parser)
    parser.add_argument(
        'files', nargs='+', type=cli.labelled, metavar='LABEL=PROPOSALS'
    )
    add_split_argument(parser)
    add = parser.add_argument
    add('--protocol', choices=PROTOCOLS, default='drop-base')
    add('--max-k', type=cli.positive, default=1000, help='end of the curve')
    number = 'proposals per image for recall per class'
    add('-k', type=cli.positive, default=100, help=number)
    classes = 'draw the N classes with most objects'
    add('--classes', type=cli.positive, default=60, metavar='N', help=classes)
    out = 'picture to write'
    add('--out', required=True, type=cli.picture_path, help=out)
    args = parser.parse_args()
    for label, files in args.files:
        if len(files) > 1:
            parser.error(f'{label}: give one proposal file')
    args.split = args.split or ('novel' if args.partition else 'all')
    check_split(parser, args.partition, [args.split])
    return args


def main() -> None:
    """Evaluate the files and draw."""
    args = parse_args()
    with cli.report_errors():
        data = AnnotationFile.read(args.annotations, args.partition)
        names = data.partition.categories(args.split)
        truth = data.ground_truth
        if not set(names) & set(truth.category[~truth.crowd].tolist()):
            raise UserError(
                f'{args.annotations}: no objects of split {args.split}'
            )
        found = {}
        for label, (path,) in args.files:
            rows = read_proposals(
                path, data.content['images'], trust=args.trust
            )
            found[label] = data.evaluator(rows, path).evaluate(
                names, args.protocol, (args.k, args.max_k)
            )
        print_warnings(found)
        for label, evaluation in found.items():
            recall = evaluation.average_recall(args.k)
            print(f'{label}: AR@{args.k} {recall:.4f}')
        with writing(args.out):
            draw_recall(
                args.out,
                found,
                names,
                title=f'{args.split} objects, protocol {args.protocol}',
                k=args.k,
                max_k=args.max_k,
                num_classes=args.classes,
            )


if __name__ == '__main__':
    main()
