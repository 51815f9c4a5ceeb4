"""Class-wise AP and AR of a classifier's detections, as an mmengine metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmdet.registry import METRICS
from mmengine.logging import print_log

from mmdet_owp.datasets.coco_file import CocoObjects
from mmdet_owp.errors import UserError
from mmdet_owp.evaluation.class_wise import STYLES, evaluate_class_wise
from mmdet_owp.evaluation.split_metric import SplitMetric
from mmdet_owp.partitions import Partition, PartitionLike
from mmdet_owp.recall import corners_to_xywh


@METRICS.register_module()
class ClassWiseMetric(SplitMetric):
    """AP and AR of class detections, averaged over classes.

    Evaluates ``sample.pred_instances`` on the classes the detector was
    trained on, by
    :func:`mmdet_owp.evaluation.class_wise.evaluate_class_wise`. Results lie
    between 0 and 1 and are named ``base_class-wise/AP``, ``…/AP50``,
    ``…/AR@100``, … (on LVIS ``lvis-id_base_class-wise/AP``, …). They are not
    comparable to the class-agnostic recall ``base_drop-base/AR@100``.

    Args:
        ann_file (str, optional): COCO or LVIS annotation file of the images
            tested. Default: that of the data set.
        partition (str | list | dict, optional): see
            :func:`mmdet_owp.partitions.resolve_partition`. Default: that of
            the data set.
        split (str): the split that the detector was trained on.
        style (str): ``'coco'`` or ``'lvis'`` (federated).
        collect_device (str): ``'cpu'`` or ``'gpu'``, over which processes
            gather results.

    Raises:
        UserError: if the annotation file is missing or malformed, its classes
            are not those of the partition, or the style is unknown.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        partition: PartitionLike | None = None,
        split: str = 'base',
        style: str = 'coco',
        collect_device: str = 'cpu',
    ) -> None:
        if style not in STYLES:
            raise UserError(f'style must be one of {STYLES}, not {style!r}')
        self.split = split
        self.style = style
        super().__init__(ann_file, partition, collect_device)

    def load(self, objects: CocoObjects, partition: Partition) -> None:
        """Keep the objects and the classes of the split."""
        self.objects = objects
        self.categories = partition.categories(self.split)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Take the detections of a batch.

        Args:
            data_batch (dict): unused.
            data_samples (Sequence[dict]): results of the model.
        """
        for sample in data_samples:
            found = sample['pred_instances']
            arrays = dict(
                # Double precision: exact, and numpy has no bfloat16.
                bboxes=found['bboxes'].cpu().double().numpy(),
                scores=found['scores'].cpu().double().numpy(),
                labels=found['labels'].cpu().numpy(),
            )
            self.results.append(dict(img_id=sample['img_id'], **arrays))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compute the metrics from the results of all processes.

        Args:
            results (list[dict]): one per image, with ``img_id``, ``bboxes``
                (x1, y1, x2, y2), ``scores`` and ``labels``.

        Returns:
            dict[str, float]: by name, see the class.

        Raises:
            UserError: if an image is not in the annotation file, or the
                labels are of other classes.
        """
        classes = self.dataset_meta['classes']
        if tuple(classes) != tuple(self.categories.values()):
            raise UserError(
                f'{self.ann_file}: labels are of {len(classes)} classes, but '
                f'split {self.split!r} has {len(self.categories)} or others: '
                "give ClassWiseMetric the data set's partition and split"
            )
        labels, corners, scores = (
            np.concatenate([r[key] for r in results])
            for key in ('labels', 'bboxes', 'scores')
        )
        counts = [len(r['labels']) for r in results]
        try:
            metrics = evaluate_class_wise(
                self.objects,
                self.categories,
                np.repeat([r['img_id'] for r in results], counts),
                corners_to_xywh(corners),
                scores.astype(float),
                np.array(list(self.categories))[labels.astype(int)],
                style=self.style,
            )
        except UserError as error:
            raise UserError(f'{self.ann_file}: {error}') from error
        prefix = f'{self.partition.prefix(self.split)}_class-wise'
        metrics = {f'{prefix}/{key}': v for key, v in metrics.items()}
        print_log(
            '  '.join(f'{k}: {v:.4f}' for k, v in metrics.items()),
            logger='current',
        )
        return metrics
