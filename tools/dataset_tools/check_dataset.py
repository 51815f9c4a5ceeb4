"""Check a COCO-format data set of your own and print the config for it.

    python tools/dataset_tools/check_dataset.py train.json val.json \
        --images train/ val/ --base car,person,supercategory:animal

Base classes are trained on, all others are novel: hidden in training, asked
for in evaluation. Ends with status 1 if training or evaluation would stop or
go wrong; warnings and notes are for you to judge. docs/custom_data.md tells
more.
"""

from __future__ import annotations

import argparse
import json
import os.path as osp
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from pprint import pformat

from tqdm import tqdm

from mmdet_owp.datasets import checker
from mmdet_owp.datasets.checker import Finding
from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.partitions import SPLITS, Partition, parse_partition
from mmdet_owp.tables import markdown_table

# How many classes and pairs of classes are printed; --json has all.
MOST = 20
LEVELS = ('problem', 'warning', 'note')
CONFIG = """\
# Written by tools/dataset_tools/check_dataset.py.
_base_ = {parent!r}

data_root = {root!r}
partition = {partition}
data = dict(data_root=data_root, partition=partition)
train_dataloader = dict(
    dataset=dict(
        **data,
        ann_file={train!r},
        data_prefix=dict(img={train_images!r})))
val_dataloader = dict(
    dataset=dict(
        **data,
        ann_file={val!r},
        data_prefix=dict(img={val_images!r})))
test_dataloader = val_dataloader
val_evaluator = [
    dict(
        metric,
        ann_file={val_path!r},
        partition=partition)
    for metric in _base_.val_evaluator
]
test_evaluator = val_evaluator
model = dict(bbox_head=dict(num_classes={num_classes}))
"""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('train', help='COCO annotation file to train on')
    parser.add_argument(
        'val',
        nargs='?',
        help='and to evaluate on, with the objects of '
        'novel classes, too; without one there is no config',
    )
    parser.add_argument(
        '--base',
        required=True,
        help='the base classes, with commas between: names, category ids or '
        'supercategory:NAME; or a known partition, such as voc',
    )
    parser.add_argument(
        '--images',
        nargs='+',
        default=[],
        metavar='FOLDER',
        help='that the file names in the annotation files are relative to: '
        'one for both files, or two; without it no image is looked at',
    )
    parser.add_argument(
        '--read',
        action='store_true',
        help='decode every image, not its header alone',
    )
    parser.add_argument(
        '--parent',
        default='configs/owp/fcos_iou_cs_is_coco.py',
        help='config that the printed one inherits (default: %(default)s)',
    )
    parser.add_argument(
        '--save',
        metavar='CONFIG',
        help='write the config there instead of printing it',
    )
    parser.add_argument(
        '--json',
        action='store_true',
        help='print everything as JSON, with all classes and pairs',
    )
    args = parser.parse_args()
    if len(args.images) > 2:
        parser.error('--images takes one folder or two')
    if args.save and not (args.val and args.images):
        parser.error('--save needs a file to evaluate on and --images')
    return args


def check_file(
    path: str, folder: str | None, training: bool, args: argparse.Namespace
) -> tuple[dict, Partition | None]:
    """Check one annotation file and the images it names.

    Args:
        path (str): of the annotation file.
        folder (str, optional): of its images. None: they aren't looked at.
        training (bool): whether it is the file to train on.
        args (argparse.Namespace): of the command line.

    Returns:
        tuple[dict, Partition | None]: what was found, by subject, and the
        classes; None where problems kept from looking at them.

    Raises:
        OSError: if there is no such file.
        ValueError: in one line, if it is no annotation file or has not these
            classes.
    """
    content = read_coco(path)
    report = dict(
        images=len(content['images']),
        annotations=len(content['annotations']),
        findings=checker.check_records(content, path),
    )
    if any(f.level == 'problem' for f in report['findings']):
        return report, None
    partition = parse_partition(args.base, content['categories'], path)
    report['findings'] += checker.check_boxes(content)
    report['splits'] = checker.count_splits(content, partition)
    report['findings'] += checker.check_counts(report['splits'], training)
    if folder is not None:
        report['findings'] += checker.check_images(
            content, folder, args.read, progress(osp.basename(path))
        )
    if training:
        report['unlabelled'], found = checker.unlabelled(content, partition)
        report['findings'] += found
    report['findings'].sort(key=lambda f: LEVELS.index(f.level))
    return report, partition


def progress(name: str) -> Callable[[Iterable], Iterable]:
    """Make a progress bar for images, gone when they are through."""
    return lambda images: tqdm(images, desc=name, unit='image', leave=False)


def make_config(args: argparse.Namespace, partition: Partition) -> str:
    """Write the config that trains and evaluates on the data.

    Args:
        args (argparse.Namespace): of the command line.
        partition (Partition): of the training file.

    Returns:
        str: a config for the folder of ``--save``, or of configs/.
    """
    folders = [args.images[0], args.images[-1]]
    paths = [args.train, args.val, *folders]
    if len({osp.isabs(p) for p in paths}) > 1:
        paths = [osp.abspath(p) for p in paths]
    root = osp.commonpath([osp.dirname(p) for p in paths[:2]] + paths[2:])
    train, val, *folders = (osp.relpath(p, root or '.') for p in paths)
    here = osp.dirname(args.save) if args.save else 'configs/custom'
    names = list(partition.names('base'))
    return CONFIG.format(
        parent=osp.relpath(args.parent, here or '.'),
        # Names say more than ids; a known partition says all.
        partition=as_list(names)
        if partition.name == 'custom'
        else repr(partition.name),
        root=root,
        train=train,
        val=val,
        train_images=osp.join(folders[0], ''),
        val_images=osp.join(folders[1], ''),
        val_path=osp.join(root, val),
        num_classes=len(names),
    )


def as_list(names: list[str]) -> str:
    """Write names as Python, in lines of 79 characters, indented."""
    lines = pformat(names, width=75, compact=True)[1:-1]
    return '[\n    ' + lines.replace('\n', '\n   ') + '\n]'


def show(path: str, report: dict) -> None:
    """Print what was found in a file."""
    print(
        f'\n{path}: {report["images"]} images, {report["annotations"]} '
        'annotations'
    )
    counts = report.get('splits')
    if counts:
        rows = [
            [split]
            + [str(counts[split][k]) for k in ('images', 'boxes', 'crowd')]
            + [str(len(counts[split]['classes']))]
            for split in SPLITS
        ]
        print(
            markdown_table(
                ['', 'images with', 'boxes', 'crowd regions', 'classes'], rows
            )
        )
        for split in ('base', 'novel'):
            classes = sorted(
                counts[split]['classes'].items(), key=lambda item: -item[1]
            )
            more = len(classes) - MOST
            print(
                f'{split}: '
                + ', '.join(f'{name} {n}' for name, n in classes[:MOST])
                + (f', and {more} classes with fewer' if more > 0 else '')
            )
    pairs = report.get('unlabelled', {}).get('pairs')
    if pairs:
        print(
            'hidden beside base objects: '
            + ', '.join(
                f'{novel} with {base} in {n} images'
                for base, novel, n in pairs[:5]
            )
        )
    for finding in report['findings']:
        print(f'{finding.level}: {finding.text}')


def main() -> None:
    """Check both files and give the config."""
    args = parse_args()
    reports, partitions = {}, []
    try:
        for n, path in enumerate(filter(None, (args.train, args.val))):
            folder = (args.images * 2)[n] if args.images else None
            reports[path], partition = check_file(path, folder, n == 0, args)
            partitions.append(partition)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    both: list[Finding] = []
    if len(partitions) == 2 and None not in partitions:
        both = checker.compare_classes(*partitions)
    problems = sum(
        f.level == 'problem'
        for f in both + [f for r in reports.values() for f in r['findings']]
    )
    config = None
    if args.val and args.images and not problems:
        config = make_config(args, partitions[0])
    if args.json:
        for report in reports.values():
            report['findings'] = [f._asdict() for f in report['findings']]
        print(
            json.dumps(
                dict(
                    files=reports,
                    findings=[f._asdict() for f in both],
                    problems=problems,
                    config=config,
                ),
                indent=1,
            )
        )
    else:
        for path, report in reports.items():
            show(path, report)
        for finding in both:
            print(f'{finding.level}: {finding.text}')
    if args.save and config:
        Path(args.save).parent.mkdir(parents=True, exist_ok=True)
        Path(args.save).write_text(config)
    if problems:
        sys.exit(f'{problems} problems: see above')
    if not args.json:
        end(args, config)


def end(args: argparse.Namespace, config: str | None) -> None:
    """Say what comes next."""
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


if __name__ == '__main__':
    main()
