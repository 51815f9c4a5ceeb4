"""Recall of proposals on base and novel objects, as an mmengine metric."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.partitions import PartitionLike, resolve_partition
from mmdet_owp.recall import (
    AREA_RANGES,
    IOU_THRS,
    PROTOCOLS,
    GroundTruth,
    evaluate,
)


@METRICS.register_module()
class ClassAgnosticRecallMetric(BaseMetric):
    """Average recall (AR) and precision of class-agnostic proposals.

    Judges ``sample.proposals`` (boxes x1, y1, x2, y2 in pixels of the image
    file, scores); of a head that makes none, ``pred_instances`` by score.
    :func:`mmdet_owp.recall.evaluate` tells how. Results are named by split
    and protocol, from 0 to 1: ``novel_drop-base/AR@100``,
    ``novel_drop-base/AR_s@100``, ``novel_drop-base/AP``, ….

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
            area in pixels, by the name that stands in ``AR_name@k``.
        collect_device (str): ``'cpu'`` or ``'gpu'``, over which processes
            gather results.

    Raises:
        FileNotFoundError: if there is no annotation file.
        ValueError: if it is none, its classes are not those of the
            partition, or a split or protocol is unknown.
    """

    # Ours stand in the names: the empty one keeps mmengine from warning.
    default_prefix = ''

    def __init__(self,
                 ann_file: str,
                 partition: PartitionLike,
                 split: str | Sequence[str] = 'novel',
                 protocol: str | Sequence[str] = 'drop-base',
                 proposal_nums: Sequence[int] = (10, 100),
                 iou_thrs: Sequence[float] = IOU_THRS,
                 area_ranges: Mapping[str, tuple[float, float]] = AREA_RANGES,
                 collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device)
        self.protocols = _as_tuple(protocol)
        unknown = set(self.protocols) - set(PROTOCOLS)
        if unknown or not self.protocols:
            raise ValueError(f'protocol must be of {PROTOCOLS}, not '
                             f'{protocol!r}')
        self.ann_file = ann_file
        self.proposal_nums = tuple(proposal_nums)
        self.iou_thrs = tuple(iou_thrs)
        self.area_ranges = dict(area_ranges)
        annotations = read_coco(ann_file)
        classes = resolve_partition(partition, annotations['categories'],
                                    ann_file)
        everything = classes.categories('all')
        self.ground_truths = {}
        for name in _as_tuple(split):
            targets = classes.categories(name)
            others = set(everything) - set(targets)
            try:
                self.ground_truths[name] = GroundTruth.from_coco(
                    annotations, targets, others)
            except ValueError as error:
                raise ValueError(f'{ann_file}: {error}') from error
        self._said_no_proposals = False

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Take the proposals of a batch.

        Args:
            data_batch (dict): unused.
            data_samples (Sequence[dict]): results of the model.
        """
        for sample in data_samples:
            proposals = sample.get('proposals')
            if proposals is None:
                proposals = sample['pred_instances']
                self._say_no_proposals()
            self.results.append(
                dict(
                    img_id=sample['img_id'],
                    bboxes=proposals['bboxes'].cpu().numpy(),
                    scores=proposals['scores'].cpu().numpy()))

    def _say_no_proposals(self) -> None:
        if not self._said_no_proposals:
            print_log(
                'The model gives no `proposals`: its detections, of whatever '
                'class, are judged by their scores instead.',
                logger='current')
            self._said_no_proposals = True

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
        image_ids = [r['img_id'] for r in results]
        # In double precision before the difference, as mmdet's CocoMetric.
        corners = [r['bboxes'].astype(float) for r in results]
        boxes = [
            np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], axis=1)
            for b in corners
        ]
        scores = [r['scores'] for r in results]
        metrics = {}
        for split, ground_truth in self.ground_truths.items():
            for protocol in self.protocols:
                try:
                    values = evaluate(
                        ground_truth,
                        image_ids,
                        boxes,
                        scores,
                        proposal_nums=self.proposal_nums,
                        protocol=protocol,
                        iou_thrs=self.iou_thrs,
                        area_ranges=self.area_ranges)
                except ValueError as error:
                    raise ValueError(f'{self.ann_file}: {error}') from error
                for key, value in values.items():
                    metrics[f'{split}_{protocol}/{key}'] = value
        untested = len(ground_truth.image_ids) - len(image_ids)
        if untested > 0:
            print_log(
                f'{untested} images of {self.ann_file} were not tested: '
                'their objects count as missed.',
                logger='current')
        print_log('\n' + self.table(metrics), logger='current')
        return metrics

    def table(self, metrics: dict[str, float]) -> str:
        """Lay the metrics out as text, one line a split and protocol.

        Args:
            metrics (dict[str, float]): as :meth:`compute_metrics` returns
                them.
        """
        rows: dict[str, dict[str, float]] = {}
        for name, value in metrics.items():
            row, column = name.split('/')
            rows.setdefault(row, {})[column] = value
        columns = list(next(iter(rows.values())))
        wide = max(len(row) for row in rows)
        lines = [' ' * wide + ''.join(f'{c:>10}' for c in columns)]
        lines += [
            f'{row:{wide}}' + ''.join(f'{v:10.4f}' for v in values.values())
            for row, values in rows.items()
        ]
        return '\n'.join(lines)


def _as_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names, ) if isinstance(names, str) else tuple(names)
