"""Class-wise AP and AR of a classifier's detections, as an mmengine metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmdet_owp.datasets.coco_file import read_coco
from mmdet_owp.evaluation.class_wise import STYLES, evaluate_class_wise
from mmdet_owp.partitions import PartitionLike, resolve_partition


@METRICS.register_module()
class ClassWiseMetric(BaseMetric):
    """AP and AR of class detections, as means over classes.

    Judges ``sample.pred_instances`` on the classes the detector was trained
    for; :func:`mmdet_owp.evaluation.class_wise.evaluate_class_wise` tells
    how. Results are named ``base_class-wise/AP``, ``…/AP50``, ``…/AR@100``,
    … (on LVIS ``lvis-id_base_class-wise/AP``, …), from 0 to 1: another
    measure than the class-agnostic recall of ``base_drop-base/AR@100``.

    Args:
        ann_file (str): COCO (or LVIS) annotation file of the images tested.
        partition (str | list | dict): see
            :func:`mmdet_owp.partitions.resolve_partition`.
        split (str): the classes of the labels: that of the data set the
            detector was trained on.
        style (str): ``'coco'`` or ``'lvis'`` (federated).
        collect_device (str): ``'cpu'`` or ``'gpu'``, over which processes
            gather results.

    Raises:
        FileNotFoundError: if there is no annotation file.
        ValueError: if it is none, its classes are not those of the
            partition, or the style is unknown.
    """

    # Ours stands in the names: the empty one keeps mmengine from warning.
    default_prefix = ''

    def __init__(
        self,
        ann_file: str,
        partition: PartitionLike,
        split: str = 'base',
        style: str = 'coco',
        collect_device: str = 'cpu',
    ) -> None:
        super().__init__(collect_device=collect_device)
        if style not in STYLES:
            raise ValueError(f'style must be one of {STYLES}, not {style!r}')
        self.ann_file = ann_file
        self.split = split
        self.style = style
        self.annotations = read_coco(ann_file)
        self.partition = resolve_partition(
            partition, self.annotations['categories'], ann_file
        )
        self.categories = self.partition.categories(split)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Take the detections of a batch.

        Args:
            data_batch (dict): unused.
            data_samples (Sequence[dict]): results of the model.
        """
        for sample in data_samples:
            found = sample['pred_instances']
            self.results.append(
                dict(
                    img_id=sample['img_id'],
                    **{
                        key: found[key].cpu().numpy()
                        for key in ('bboxes', 'scores', 'labels')
                    },
                )
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compute the metrics from the results of all processes.

        Args:
            results (list[dict]): one an image, with ``img_id``, ``bboxes``
                (x1, y1, x2, y2), ``scores`` and ``labels``.

        Returns:
            dict[str, float]: by name, see the class.

        Raises:
            ValueError: in one line, if an image isn't in the annotation file
                or the labels are of other classes.
        """
        classes = self.dataset_meta['classes']
        if tuple(classes) != tuple(self.categories.values()):
            raise ValueError(
                f'{self.ann_file}: labels are of {len(classes)} classes, '
                f'split {self.split!r} has {len(self.categories)} or others: '
                "give ClassWiseMetric the data set's partition and split"
            )
        labels = np.concatenate([r['labels'] for r in results]).astype(int)
        corners = np.concatenate([r['bboxes'] for r in results]).astype(float)
        try:
            metrics = evaluate_class_wise(
                self.annotations,
                self.categories,
                np.repeat(
                    [r['img_id'] for r in results],
                    [len(r['labels']) for r in results],
                ),
                np.concatenate(
                    [corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1
                ),
                np.concatenate([r['scores'] for r in results]).astype(float),
                np.array(list(self.categories))[labels],
                style=self.style,
            )
        except ValueError as error:
            raise ValueError(f'{self.ann_file}: {error}') from error
        metrics = {
            f'{self.partition.prefix(self.split)}_class-wise/{key}': value
            for key, value in metrics.items()
        }
        print_log(
            '  '.join(f'{k}: {v:.4f}' for k, v in metrics.items()),
            logger='current',
        )
        return metrics
