"""Recall of proposals on base and novel objects, as an mmengine metric."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.evaluation.take_proposals import TakeProposals
from mmdet_owp.partitions import PartitionLike, resolve_partition
from mmdet_owp.recall import (
    AREA_RANGES,
    IOU_THRS,
    PROTOCOLS,
    GroundTruth,
    Proposals,
    RecallEvaluator,
)
from mmdet_owp.tables import text_table, transpose


@METRICS.register_module()
class ClassAgnosticRecallMetric(BaseMetric):
    """Average recall (AR) and precision of class-agnostic proposals.

    Judges ``sample.proposals`` (boxes x1, y1, x2, y2 in pixels of the image
    file, scores); of a head that makes none, ``pred_instances`` by score.
    :meth:`mmdet_owp.recall.RecallEvaluator.evaluate` tells how. Results are
    named by split and protocol, from 0 to 1: ``novel_drop-base/AR@100``,
    ``novel_drop-base/AR_s@100``, ``…/AUC``, ``…/AP``; ``…/proposals`` is the
    mean number of proposals an image. On LVIS, which has two partitions, the
    name starts with theirs: ``lvis-id_novel_drop-base/AR@300``. With
    ``details`` also, for the largest k, ``…/AR@100/giraffe`` by class and
    ``…/recall@100/0.50`` by IoU.

    ``split='base'`` asks for the recall of base objects; ``exclude-base``
    then takes out the proposals on novel objects, so that each side is seen
    with the other out of the way.

    Args:
        ann_file (str): COCO annotation file of the images tested, with the
            objects of both sides. Objects of images without result count as
            missed.
        partition (str | list | dict): see
            :func:`mmdet_owp.partitions.resolve_partition`.
        split (str | Sequence[str]): ``'novel'``, ``'base'`` or ``'all'``, or
            several of them.
        protocol (str | Sequence[str]): ``'drop-base'`` or
            ``'exclude-base'``, or both.
        proposal_nums (Sequence[int]): the k of AR@k.
        iou_thrs (Sequence[float]): IoU from which an object is found.
        area_ranges (dict[str, tuple[float, float]]): smallest and largest
            area in pixels, by the name that stands in ``AR_name@k``;
            ``'all'`` must be there.
        details (bool): whether to give recall by class and by IoU too.
        collect_device (str): ``'cpu'`` or ``'gpu'``, over which processes
            gather results.

    Raises:
        FileNotFoundError: if there is no annotation file.
        ValueError: if it is none, its classes are not those of the
            partition, or a split or protocol is unknown.
    """

    # Ours stand in the names: the empty one keeps mmengine from warning.
    default_prefix = ''

    def __init__(
        self,
        ann_file: str,
        partition: PartitionLike,
        split: str | Sequence[str] = 'novel',
        protocol: str | Sequence[str] = 'drop-base',
        proposal_nums: Sequence[int] = (10, 100),
        iou_thrs: Sequence[float] = IOU_THRS,
        area_ranges: Mapping[str, tuple[float, float]] = AREA_RANGES,
        details: bool = False,
        collect_device: str = 'cpu',
    ) -> None:
        super().__init__(collect_device=collect_device)
        self.protocols = _as_tuple(protocol)
        unknown = set(self.protocols) - set(PROTOCOLS)
        if unknown or not self.protocols:
            raise ValueError(
                f'protocol must be of {PROTOCOLS}, not {protocol!r}'
            )
        self.ann_file = ann_file
        self.proposal_nums = tuple(proposal_nums)
        self.iou_thrs = tuple(iou_thrs)
        self.area_ranges = dict(area_ranges)
        self.details = details
        annotations = read_coco(ann_file)
        self.partition = resolve_partition(
            partition, annotations['categories'], ann_file
        )
        self.splits = _as_tuple(split)
        for name in self.splits:
            self.partition.categories(name)  # is there such a split?
        try:
            self.ground_truth = GroundTruth.from_coco(
                annotations, self.partition.categories('all')
            )
        except ValueError as error:
            raise ValueError(f'{ann_file}: {error}') from error
        self._take_proposals = TakeProposals()

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Take the proposals of a batch.

        Args:
            data_batch (dict): unused.
            data_samples (Sequence[dict]): results of the model.
        """
        for sample in data_samples:
            proposals = self._take_proposals(sample)
            self.results.append(
                dict(
                    img_id=sample['img_id'],
                    bboxes=proposals['bboxes'].cpu().numpy(),
                    scores=proposals['scores'].cpu().numpy(),
                )
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compute the metrics from the results of all processes.

        Args:
            results (list[dict]): one an image, with ``img_id``, ``bboxes``
                and ``scores``.

        Returns:
            dict[str, float]: by name, see the class.

        Raises:
            ValueError: if an image isn't in the annotation file, or boxes or
                scores aren't numbers.
        """
        try:
            evaluator = RecallEvaluator(
                self.ground_truth,
                self._proposals(results),
                iou_thrs=self.iou_thrs,
                area_ranges=self.area_ranges,
            )
        except ValueError as error:
            raise ValueError(f'{self.ann_file}: {error}') from error
        untested = len(self.ground_truth.image_ids) - len(results)
        if untested > 0:
            print_log(
                f'{untested} images of {self.ann_file} were not tested: '
                'their objects count as missed.',
                logger='current',
            )
        table, details = {}, {}
        for split in self.splits:
            names = self.partition.categories(split)
            of_split = {}
            for protocol in self.protocols:
                name = f'{self.partition.prefix(split)}_{protocol}'
                found = evaluator.evaluate(names, protocol, self.proposal_nums)
                table[name] = found.metrics()
                if self.details:
                    of_split[name] = found.details(names)
                warning = found.cut_short()
                if warning:
                    print_log(
                        f'{name}: {warning}',
                        logger='current',
                        level=logging.WARNING,
                    )
            if self.details:
                print_log(
                    '\n' + text_table(transpose(of_split)), logger='current'
                )
            details.update(of_split)
        print_log('\n' + text_table(table), logger='current')
        return {
            f'{name}/{key}': value
            for rows in (table, details)
            for name, values in rows.items()
            for key, value in values.items()
        }

    def _proposals(self, results: list[dict]) -> Proposals:
        """Put the proposals of all images in order."""
        # In double precision before the difference, as mmdet's CocoMetric.
        boxes = np.concatenate(
            [np.empty((0, 4)), *(r['bboxes'] for r in results)], dtype=float
        )
        boxes[:, 2:] -= boxes[:, :2]
        ends = np.cumsum([len(r['bboxes']) for r in results], dtype=int)
        return Proposals.from_images(
            self.ground_truth.image_ids,
            [r['img_id'] for r in results],
            np.split(boxes, ends[:-1]),
            [r['scores'] for r in results],
        )


def _as_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
