"""Base class of the metrics on base and novel classes."""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.evaluator import BaseMetric

from mmdet_owp.datasets.coco_file import CocoObjects, read_objects
from mmdet_owp.errors import UserError
from mmdet_owp.partitions import Partition, PartitionLike, resolve_partition


class SplitMetric(BaseMetric):
    """A metric that knows the objects and the partition of its data set.

    Both come from the data set's ``metainfo`` unless given. The file is read
    as soon as both are known, which is before the first step.

    Args:
        ann_file (str, optional): COCO annotation file of the images tested,
            with the objects of both sides.
        partition (str | list | dict, optional): see
            :func:`mmdet_owp.partitions.resolve_partition`.
        collect_device (str): ``'cpu'`` or ``'gpu'``, over which processes
            gather results.

    Attributes:
        ann_file (str): the annotation file used.
        partition (Partition): ids and names of both sides.
        dataset_meta (dict): ``metainfo`` of the data set.

    Raises:
        UserError: if neither the arguments nor the data set name the file or
            the partition, or the partition does not fit the file.
    """

    # Results carry full names; without a prefix of ours mmengine warns.
    default_prefix = ''

    def __init__(
        self,
        ann_file: str | None,
        partition: PartitionLike | None,
        collect_device: str,
    ) -> None:
        super().__init__(collect_device=collect_device)
        self._given = dict(ann_file=ann_file, partition=partition)
        if ann_file is not None and partition is not None:
            self._read({})

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: Mapping) -> None:
        """Take from the data set what the arguments leave open."""
        self._dataset_meta = dataset_meta
        if None in self._given.values():
            # mmdet's ConcatDataset has a list of metainfos if these differ.
            is_one = isinstance(dataset_meta, Mapping)
            self._read(dataset_meta if is_one else {})

    def _read(self, meta: Mapping) -> None:
        known = dict(meta)
        known.update({k: v for k, v in self._given.items() if v is not None})
        missing = [key for key in self._given if key not in known]
        if missing:
            raise UserError(
                f'{type(self).__name__} does not know {" and ".join(missing)}:'
                ' evaluate one CocoSplitDataset or LVISSplitDataset with '
                'test_mode=True, or set these keys of the metric'
            )
        self.ann_file = known['ann_file']
        objects = read_objects(self.ann_file)
        self.partition = resolve_partition(
            known['partition'], objects.categories, self.ann_file
        )
        self.load(objects, self.partition)

    def load(self, objects: CocoObjects, partition: Partition) -> None:
        """Keep what the metric needs of the annotation file."""
        raise NotImplementedError
