r"""Write a page that shows what proposals find, what they miss, and why.

    python tools/analysis_tools/report.py ANN.json PROPOSALS.json \
        --images DIR --partition voc --out report

The folder is self-contained: open index.html in a browser, no server needed.
Several files are compared. Proposals are read as by eval_proposals.py; needs
the extra `report` of this package (jinja2, matplotlib, tqdm). See
docs/report.md.
"""

from __future__ import annotations

import os.path as osp
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from mmdet_owp import cli
from mmdet_owp.commands.eval import (
    add_annotation_arguments,
    add_split_argument,
    check_split,
)
from mmdet_owp.errors import UserError, check_writable
from mmdet_owp.evaluation.file_evaluation import AnnotationFile
from mmdet_owp.evaluation.hints import box_hints
from mmdet_owp.evaluation.proposal_files import read_proposals

# Packages of the extra `report`.
_EXTRA = ('jinja2', 'matplotlib', 'tqdm')


def parser() -> ArgumentParser:
    """Return the argument parser."""
    p = cli.parser(__doc__)
    add_annotation_arguments(p)
    add = p.add_argument
    several = 'proposal file; the page compares any two of several'
    add('proposals', nargs='+', help=several)
    add('--images', required=True, metavar='DIR', help='folder of the images')
    add('--out', required=True, metavar='FOLDER', help='folder to write')
    labels = 'names of the proposal files on the page (default: file names)'
    add('--labels', nargs='+', help=labels)
    add_split_argument(p)
    k = 'numbers of proposals per image'
    add('--k', nargs='+', type=cli.positive, default=[10, 100], help=k)
    side = 'longest side of a thumbnail, in pixels'
    add('--side', type=cli.positive, default=512, help=side)
    resamples = 'resamples of the bootstrap'
    add('--resamples', type=cli.positive, default=1000, help=resamples)
    add('--seed', type=int, default=0, help='random seed of the bootstrap')
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Write the report."""
    p = parser()
    args = p.parse_args(argv)
    args.split = args.split or ('novel' if args.partition else 'all')
    check_split(p, args.partition, [args.split])
    args.labels = args.labels or _labels(args.proposals)
    if len(args.labels) != len(args.proposals):
        p.error(
            f'{len(args.labels)} --labels for {len(args.proposals)} proposal '
            'files'
        )
    if len(set(args.labels)) < len(args.labels):
        p.error('two files have the same label; set --labels')
    with cli.report_errors():
        _report(args)


def _labels(paths: Sequence[str]) -> list[str]:
    """Return file names, or paths where names repeat."""
    names = [osp.basename(path) for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def _report(args: Namespace) -> None:
    try:
        from mmdet_owp.reporting import page
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        raise UserError(
            f'the report needs {error.name}: install the extra `report` of '
            f'this package, or pip install {" ".join(_EXTRA)}'
        ) from error
    check_writable(args.out, folder=True)
    page.check_output(Path(args.out))
    if not osp.isdir(args.images):
        raise UserError(f'{args.images}: no such folder; check --images')
    data = AnnotationFile.read(args.annotations, args.partition)
    files = []
    for path, label in zip(args.proposals, args.labels):
        images = data.content['images']
        rows = read_proposals(path, images, trust=args.trust)
        for hint in box_hints(rows, images):
            print(f'warning: {path}: {hint}')
        files.append(page.ReportFile(label, data.evaluator(rows, path)))
    settings = page.Settings(
        *(Path(args.out), args.images, args.split, sorted(set(args.k))),
        *(args.side, args.resamples, args.seed),
    )
    print(f'written: {page.write_report(data, files, settings)}')
