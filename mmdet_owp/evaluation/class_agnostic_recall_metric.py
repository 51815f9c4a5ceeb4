"""Recall of proposals on base and novel objects, as an mmengine metric."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmdet.registry import METRICS
from mmengine.logging import print_log

from mmdet_owp.datasets.coco_file import CocoObjects
from mmdet_owp.errors import UserError, check_writable, writing
from mmdet_owp.evaluation.sample_proposals import proposals_of
from mmdet_owp.evaluation.split_metric import SplitMetric
from mmdet_owp.partitions import Partition, PartitionLike
from mmdet_owp.recall import (
    AREA_RANGES,
    PROTOCOLS,
    Proposals,
    RecallEvaluator,
    corners_to_xywh,
)
from mmdet_owp.tables import text_table, transpose


@METRICS.register_module()
class ClassAgnosticRecallMetric(SplitMetric):
    """Average recall (AR) and precision of class-agnostic proposals.

    Evaluates ``sample.proposals`` (boxes x1, y1, x2, y2 in pixels of the
    image file, and scores), or ``pred_instances`` where a model has no
    proposals, by :meth:`mmdet_owp.recall.RecallEvaluator.evaluate`.

    Results lie between 0 and 1 and are named by split and protocol:
    ``novel_drop-base/AR@100``, ``novel_drop-base/AR_s@100``, ``…/AUC``,
    ``…/AP``; ``…/proposals`` is the mean number of proposals per image. On
    LVIS, which has two partitions, the partition comes first:
    ``lvis-id_novel_drop-base/AR@300``. ``details`` adds AR per class and
    recall per IoU threshold at the largest k: ``…/AR@100/giraffe``,
    ``…/recall@100/0.50``.

    ``split='base'`` evaluates recall on base objects; ``exclude-base`` and
    ``oln`` then remove the proposals that match novel objects.

    Args:
        ann_file (str, optional): COCO annotation file of the images tested,
            with the objects of both sides. Default: that of the data set.
            Objects of images without results count as missed.
        partition (str | list | dict, optional): see
            :func:`mmdet_owp.partitions.resolve_partition`. Default: that of
            the data set.
        split (str | Sequence[str]): one or several of ``'novel'``,
            ``'base'`` and ``'all'``.
        protocol (str | Sequence[str]): one or several of
            :data:`mmdet_owp.recall.PROTOCOLS`.
        proposal_nums (Sequence[int]): the k of AR@k.
        area_ranges (dict[str, tuple[float, float]]): smallest and largest
            area in pixels, by the name used in ``AR_name@k``; needs
            ``'all'``.
        details (bool): whether to add recall per class and per IoU.
        hits_file (str, optional): JSON file to write with the objects of each
            image and the hits among them, for a paired bootstrap over images:
            see :meth:`mmdet_owp.recall.Evaluation.hits_by_image`.
        collect_device (str): ``'cpu'`` or ``'gpu'``, over which processes
            gather results.

    Raises:
        UserError: if the annotation file is missing or malformed, its classes
            are not those of the partition, a split or protocol is unknown, or
            ``hits_file`` cannot be written.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        partition: PartitionLike | None = None,
        split: str | Sequence[str] = 'novel',
        protocol: str | Sequence[str] = 'drop-base',
        proposal_nums: Sequence[int] = (10, 100),
        area_ranges: Mapping[str, tuple[float, float]] = AREA_RANGES,
        details: bool = False,
        hits_file: str | None = None,
        collect_device: str = 'cpu',
    ) -> None:
        self.protocols = _as_tuple(protocol)
        if not self.protocols or set(self.protocols) - set(PROTOCOLS):
            raise UserError(
                f'protocol must be of {tuple(PROTOCOLS)}, not {protocol!r}'
            )
        self.splits = _as_tuple(split)
        self.proposal_nums = tuple(proposal_nums)
        self.area_ranges = dict(area_ranges)
        self.details = details
        check_writable(hits_file)
        self.hits_file = hits_file
        self._fallback_logged = False
        super().__init__(ann_file, partition, collect_device)

    def load(self, objects: CocoObjects, partition: Partition) -> None:
        """Keep the objects of both sides."""
        for split in self.splits:
            partition.categories(split)  # refuses an unknown split
        self.ground_truth = objects.ground_truth.select(
            partition.categories('all')
        )

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Take the proposals of a batch.

        Args:
            data_batch (dict): unused.
            data_samples (Sequence[dict]): results of the model.
        """
        for sample in data_samples:
            if 'proposals' not in sample and not self._fallback_logged:
                self._fallback_logged = True
                print_log(
                    'The model gives no `proposals`: its detections of all '
                    'classes, ranked by score, are evaluated instead.',
                    logger='current',
                )
            proposals = proposals_of(sample)
            self.results.append(
                dict(
                    img_id=sample['img_id'],
                    # Double precision: exact, and numpy has no bfloat16.
                    bboxes=proposals['bboxes'].cpu().double().numpy(),
                    scores=proposals['scores'].cpu().double().numpy(),
                )
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compute the metrics from the results of all processes.

        Args:
            results (list[dict]): one per image, with ``img_id``, ``bboxes``
                and ``scores``.

        Returns:
            dict[str, float]: by name, see the class.

        Raises:
            UserError: if an image is not in the annotation file, or boxes or
                scores are not finite.
        """
        evaluator = self._evaluator(results)
        table, details, hits = {}, {}, {}
        for split in self.splits:
            classes = self.partition.categories(split)
            of_split = {}
            for protocol in self.protocols:
                name = f'{self.partition.prefix(split)}_{protocol}'
                found = evaluator.evaluate(
                    classes, protocol, self.proposal_nums
                )
                table[name] = found.metrics()
                if self.hits_file is not None:
                    hits[name] = found.hits_by_image()
                if self.details:
                    of_split[name] = found.details(classes)
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
        if self.hits_file is not None:
            with writing(self.hits_file):
                path = Path(self.hits_file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(hits), encoding='utf-8')
        return {
            f'{name}/{key}': value
            for rows in (table, details)
            for name, values in rows.items()
            for key, value in values.items()
        }

    def _evaluator(self, results: list[dict]) -> RecallEvaluator:
        """Check the proposals of all images and compute their overlaps."""
        image_ids = self.ground_truth.image_ids
        try:
            proposals = Proposals.from_images(
                image_ids,
                [r['img_id'] for r in results],
                [corners_to_xywh(r['bboxes']) for r in results],
                [r['scores'] for r in results],
            )
        except UserError as error:
            raise UserError(f'{self.ann_file}: {error}') from error
        untested = len(image_ids) - len(results)
        if untested > 0:
            print_log(
                f'{untested} images of {self.ann_file} were not tested: '
                'their objects count as missed.',
                logger='current',
            )
        return RecallEvaluator(
            self.ground_truth, proposals, area_ranges=self.area_ranges
        )


def _as_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
