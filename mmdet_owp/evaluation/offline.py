"""What the tools that judge files of proposals share; no torch, no mmdet."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.evaluation.proposal_files import ProposalRows
from mmdet_owp.partitions import Partition, parse_partition
from mmdet_owp.recall import (
    Evaluation,
    GroundTruth,
    Proposals,
    RecallEvaluator,
)


def parser(description: str) -> argparse.ArgumentParser:
    """Make a parser with the arguments that they have in common.

    Args:
        description (str): of the tool.
    """
    made = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        'annotations',
        help='COCO annotation file, with the '
        'objects of base and novel classes',
    )
    made.add_argument(
        '--partition',
        help='which classes are base: a name such as voc, or the base '
        'classes (names or ids) with commas between; without one every '
        'class is asked for',
    )
    made.add_argument(
        '--trust',
        action='store_true',
        help='let a pickle execute what it likes: only of authors you trust',
    )
    return made


def usual_split(args: argparse.Namespace) -> str:
    """Whose recall is asked for unless the command line says so."""
    return 'novel' if args.partition else 'all'


def check_split(
    parser: argparse.ArgumentParser, args: argparse.Namespace, split: str
) -> None:
    """End the program if the split needs a partition that isn't given."""
    if not args.partition and split != 'all':
        parser.error('--split novel or base needs a --partition')


def read_truth(
    args: argparse.Namespace,
) -> tuple[dict, Partition, GroundTruth]:
    """Read the annotation file.

    Args:
        args (argparse.Namespace): of :func:`parser`.

    Returns:
        tuple[dict, Partition, GroundTruth]: its content, its classes, and
        the objects of both sides.

    Raises:
        FileNotFoundError: in one line, if there is no such file.
        ValueError: likewise, if it is no COCO file or has other classes.
    """
    annotations = read_coco(args.annotations)
    partition = parse_partition(
        args.partition, annotations['categories'], args.annotations
    )
    return (
        annotations,
        partition,
        GroundTruth.from_coco(annotations, partition.categories('all')),
    )


def evaluator(truth: GroundTruth, rows: ProposalRows) -> RecallEvaluator:
    """Match proposals with the objects.

    Args:
        truth (GroundTruth): of :func:`read_truth`.
        rows (ProposalRows): of a file.

    Raises:
        ValueError: in one line, if they are of other images or no boxes.
    """
    proposals = Proposals.from_rows(
        truth.image_ids, rows.image_ids, rows.boxes, rows.scores
    )
    untested = len(truth.image_ids) - proposals.num_images
    if untested:
        print(
            f'{untested} images have no proposals: their objects count as '
            'missed.'
        )
    return RecallEvaluator(truth, proposals)


def warn(found: Mapping[str, Evaluation]) -> None:
    """Print a warning of each evaluation, by name, that lists cut short."""
    for name, evaluation in found.items():
        warning = evaluation.cut_short()
        if warning:
            print(f'warning: {name}: {warning}')


def one_line(source: str, error: Exception) -> str:
    """Tell an error in one line that names the file."""
    text = str(error)
    return f'error: {text if source in text else f"{source}: {text}"}'
