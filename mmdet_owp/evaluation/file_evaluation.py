"""Evaluate proposal files against an annotation file, without mmdet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from mmdet_owp.datasets.coco_file import CocoObjects, read_coco
from mmdet_owp.errors import UserError
from mmdet_owp.evaluation.class_wise import check_lvis, evaluate_class_wise
from mmdet_owp.evaluation.proposal_files import ProposalRows
from mmdet_owp.partitions import Partition, parse_partition
from mmdet_owp.recall import (
    Evaluation,
    GroundTruth,
    Proposals,
    RecallEvaluator,
    bootstrap_difference,
)
from mmdet_owp.tables import Rows


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Name the file in the text of a UserError."""
    try:
        yield
    except UserError as error:
        raise UserError(f'{path}: {error}') from error


class AnnotationFile(NamedTuple):
    """An annotation file: path, content, partition and objects."""

    path: str
    content: dict
    partition: Partition
    ground_truth: GroundTruth

    @classmethod
    def read(cls, path: str, partition: str | None) -> AnnotationFile:
        """Read an annotation file; see :func:`parse_partition`.

        Raises:
            UserError: if there is no such file, it is not in COCO format, or
                does not have the classes of the partition.
        """
        content = read_coco(path, with_files=False)
        classes = parse_partition(partition, content['categories'], path)
        with _naming(path):
            truth = GroundTruth.from_coco(content, classes.categories('all'))
        return cls(path, content, classes, truth)

    def evaluator(self, rows: ProposalRows, source: str) -> RecallEvaluator:
        """Return the evaluator of the proposals of the file ``source``.

        Raises:
            UserError: if a proposal is of another image or has no valid box.
        """
        truth = self.ground_truth
        with _naming(source):
            proposals = Proposals.from_rows(
                truth.image_ids, rows.image_ids, rows.boxes, rows.scores
            )
        return RecallEvaluator(truth, proposals)

    def evaluate_classes(
        self, rows: ProposalRows, source: str, split: str, style: str
    ) -> dict[str, float]:
        """Return AP and AR as means over the classes of a split.

        Args:
            rows (ProposalRows): class detections of the file ``source``.
            source (str): for error messages.
            split (str): classes to evaluate.
            style (str): see :func:`evaluate_class_wise`.

        Raises:
            UserError: if labels, images or annotations do not match.
        """
        categories = self.partition.categories(split)
        labels = rows.labels
        if rows.label_is_position and len(labels):
            if labels.max() >= len(categories):
                raise UserError(
                    f'{source}: labels up to {labels.max()}, but split '
                    f'{split} has {len(categories)} classes: choose the '
                    'split that the detector was trained on'
                )
            labels = np.array(list(categories))[labels]
        columns = rows.image_ids, rows.boxes, rows.scores, labels
        objects = CocoObjects(
            self.content['categories'],
            self.content['images'],
            self.ground_truth,
        )
        if style == 'lvis':
            with _naming(self.path):
                check_lvis(objects, categories)
        with _naming(source):
            return evaluate_class_wise(objects, categories, *columns, style)


def compare(
    first: Mapping[str, Evaluation],
    second: Mapping[str, Evaluation],
    proposal_nums: Iterable[int],
    resamples: int,
    seed: int,
) -> Rows:
    """Compare AR@k of two proposal files; see :func:`bootstrap_difference`.

    Args:
        first (dict[str, Evaluation]): by split and protocol.
        second (dict[str, Evaluation]): of the other file, with the same keys.
        proposal_nums (Iterable[int]): the k.
        resamples (int): of the bootstrap.
        seed (int): of the bootstrap.

    Returns:
        dict: by metric the values of both files, their difference and the
        ends ``low`` and ``high`` of its 95% interval.
    """
    rows = {}
    for name, evaluation in first.items():
        for k in proposal_nums:
            difference, low, high = bootstrap_difference(
                evaluation, second[name], k, resamples, seed
            )
            rows[f'{name}/AR@{k}'] = dict(
                first=evaluation.average_recall(k),
                second=second[name].average_recall(k),
                difference=difference,
                low=low,
                high=high,
            )
    return rows
