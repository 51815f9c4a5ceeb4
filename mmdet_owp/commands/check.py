r"""Check a COCO-format data set of your own and print the config for it.

    python tools/dataset_tools/check_dataset.py train.json val.json \
        --images train/ val/ --base car,person,supercategory:animal

The model is trained on the base classes; all others are novel: hidden in
training, searched for in evaluation. The exit status is 1 if training or
evaluation would stop or go wrong. See docs/custom_data.md.
"""

from __future__ import annotations

import json
import os.path as osp
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from mmdet_owp import cli
from mmdet_owp.datasets.checker import (
    FileReport,
    Finding,
    check_file,
    compare_classes,
    compare_images,
)
from mmdet_owp.datasets.custom_config import config_text
from mmdet_owp.errors import check_writable, writing
from mmdet_owp.partitions import SPLITS
from mmdet_owp.tables import markdown_table

# Numbers of classes and of pairs of classes to print; --json prints all.
MAX_CLASSES = 20
MAX_PAIRS = 5


def parser() -> ArgumentParser:
    """Return the argument parser."""
    parser = cli.parser(__doc__)
    parser.add_argument('train', help='COCO annotation file for training')
    parser.add_argument(
        'val',
        nargs='?',
        help='COCO annotation file for evaluation, with the objects of novel '
        'classes; without it, no config is printed',
    )
    parser.add_argument(
        '--base',
        required=True,
        help='the base classes, separated by commas: names, category ids or '
        'supercategory:NAME; or a known partition, such as voc',
    )
    parser.add_argument(
        '--images',
        nargs='+',
        default=[],
        metavar='FOLDER',
        help='folder that file_name is relative to, one for both files or '
        'one each; without it, images are not checked',
    )
    parser.add_argument(
        '--read',
        action='store_true',
        help='decode every image; otherwise complete JPEG and PNG files are '
        'not decoded',
    )
    parser.add_argument(
        '--parent',
        default='configs/owp/fcos_iou_cs_is_coco.py',
        help='config that the printed one inherits (default: %(default)s)',
    )
    parser.add_argument(
        '--save',
        metavar='CONFIG',
        help='write the config to this file instead of printing it',
    )
    parser.add_argument(
        '--json',
        action='store_true',
        help='print everything as JSON, with all classes and pairs',
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Check both files; print the findings and the config."""
    p = parser()
    args = p.parse_args(argv)
    if len(args.images) > 2:
        p.error('--images takes one folder or two')
    if args.save and not (args.val and args.images):
        p.error('--save needs a file to evaluate on and --images')
    with cli.report_errors():
        _check(args)


def _find_parent(path: str) -> str:
    """Return a config in the folder, or else in the repository's."""
    inside = Path(__file__).parents[2] / path
    return str(inside) if inside.is_file() and not osp.exists(path) else path


def _check(args: Namespace) -> None:
    check_writable(args.save)
    reports = []
    for n, path in enumerate(filter(None, (args.train, args.val))):
        report = check_file(
            path,
            args.base,
            (args.images * 2)[n] if args.images else None,
            training=n == 0,
            decode=args.read,
            progress=_progress_bar(osp.basename(path)),
        )
        reports.append((path, report))
    partitions = [report.partition for _, report in reports]
    common: list[Finding] = []
    same_images: list[Finding] = []  # a problem, but training would run
    if len(partitions) == 2 and None not in partitions:
        common = compare_classes(*partitions)
        first, last = (report.names for _, report in reports)
        same_images = compare_images(first, last, args.images)
    findings = common + [f for _, r in reports for f in r.findings]
    problems = sum(f.level == 'problem' for f in findings)
    config = None
    if args.val and args.images and not problems:
        config = config_text(
            (args.train, args.val),
            (args.images[0], args.images[-1]),
            partitions[0],
            _find_parent(args.parent),
            osp.dirname(args.save) if args.save else 'configs/custom',
        )
    common += same_images
    problems += len(same_images)
    if args.json:
        _print_json(reports, common, problems, config)
    else:
        for path, report in reports:
            _print_report(path, report)
        _print_findings(common)
    if args.save and config:
        with writing(args.save):
            Path(args.save).parent.mkdir(parents=True, exist_ok=True)
            Path(args.save).write_text(config, encoding='utf-8')
    if problems:
        sys.exit(f'{problems} problems: see above')
    if not args.json:
        _print_next_step(args, config)


def _progress_bar(name: str) -> Callable[[Iterable], Iterable]:
    return partial(tqdm, desc=name, unit='image', leave=False)


def _print_json(
    reports: Sequence[tuple[str, FileReport]],
    common: Sequence[Finding],
    problems: int,
    config: str | None,
) -> None:
    def as_dicts(findings: Sequence[Finding]) -> list[dict]:
        return [finding._asdict() for finding in findings]

    files: dict[str, dict] = {}
    for path, report in reports:
        # One file may be given for both.
        name = path if path not in files else f'{path} (evaluation)'
        files[name] = dict(report.summary, findings=as_dicts(report.findings))
    content = dict(
        files=files,
        findings=as_dicts(common),
        problems=problems,
        config=config,
    )
    print(json.dumps(content, indent=1))


def _print_report(path: str, report: FileReport) -> None:
    """Print counts and findings of a file."""
    summary = report.summary
    print(
        f'\n{path}: {summary["images"]} images, {summary["annotations"]} '
        'annotations'
    )
    if 'splits' in summary:
        _print_counts(summary['splits'])
    if 'training' in summary:
        print(
            f'trained on: {summary["training"]["images"]} of '
            f'{summary["images"]} images, {summary["training"]["boxes"]} of '
            f'{summary["splits"]["base"]["boxes"]} base boxes'
        )
    pairs = summary.get('unlabelled', {}).get('pairs')
    if pairs:
        texts = [
            f'{novel} with {base} in {n} images'
            for base, novel, n in pairs[:MAX_PAIRS]
        ]
        print('hidden beside base objects: ' + ', '.join(texts))
    _print_findings(report.findings)


def _print_counts(splits: Mapping[str, Mapping]) -> None:
    heading = ['evaluated', 'images with', 'boxes', 'crowd', 'classes']
    rows = [
        [
            split,
            *(str(splits[split][key]) for key in ('images', 'boxes', 'crowd')),
            str(len(splits[split]['classes'])),
        ]
        for split in SPLITS
    ]
    print(markdown_table(heading, rows))
    for split in ('base', 'novel'):
        classes = sorted(
            splits[split]['classes'].items(), key=lambda item: -item[1]
        )
        texts = [f'{name} {n}' for name, n in classes[:MAX_CLASSES]]
        more = len(classes) - MAX_CLASSES
        if more > 0:
            texts.append(f'and {more} classes with fewer')
        print(f'{split}: ' + ', '.join(texts))


def _print_findings(findings: Iterable[Finding]) -> None:
    for finding in findings:
        print(f'{finding.level}: {finding.text}')


def _print_next_step(args: Namespace, config: str | None) -> None:
    if config is None:
        print(
            '\nNo problem. For a config, give a file to evaluate on and '
            '--images.'
        )
    elif args.save:
        print(f'\nNo problem. Train: python tools/train.py {args.save}')
    else:
        print(
            '\nNo problem. Save this as configs/custom/NAME.py, then: '
            f'python tools/train.py configs/custom/NAME.py\n\n{config}'
        )
