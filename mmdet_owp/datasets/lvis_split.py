"""LVIS v1 divided into base and novel classes."""

from __future__ import annotations

from mmdet.datasets import CocoDataset, LVISV1Dataset
from mmdet.registry import DATASETS

from mmdet_owp.datasets.coco_split import CocoSplitDataset


@DATASETS.register_module()
class LVISSplitDataset(CocoSplitDataset, LVISV1Dataset):
    """LVIS v1, showing the boxes of one side of a partition.

    As :class:`CocoSplitDataset`, but an image is found where its
    ``coco_url`` has it: LVIS takes images from ``train2017/`` and
    ``val2017/`` of COCO for either of its own files, so ``data_prefix`` is
    the folder that holds both.

    Args:
        partition (str | list | dict): ``'lvis-id'``, ``'lvis-count'``, or
            another, see :func:`mmdet_owp.partitions.resolve_partition`.
        split (str): ``'base'``, ``'novel'`` or ``'all'``.
        class_agnostic (bool): as of :class:`CocoSplitDataset`.
        **kwargs: those of mmdet's ``CocoDataset``, without ``classes`` in
            ``metainfo``.

    Raises:
        FileNotFoundError: if there is no annotation file.
        ValueError: if it is not of LVIS v1, its images have no ``coco_url``,
            or its classes are not those of the partition.

    Example:
        >>> LVISSplitDataset(
        ...     partition='lvis-id', split='base', data_root='data/lvis_v1',
        ...     ann_file='annotations/lvis_v1_train.json',
        ...     data_prefix=dict(img=''), pipeline=[])
    """

    # LVISV1Dataset's own takes all 1203 classes, whatever `metainfo` says,
    # and reads the file, of a gigabyte, by another package.
    load_data_list = CocoDataset.load_data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Take the image from where its URL says.

        Args:
            raw_data_info (dict): of ``CocoDataset``.

        Raises:
            ValueError: in one line, if there is no URL.
        """
        image = raw_data_info['raw_img_info']
        path = image.get('coco_url', '').split('/')[-2:]
        if len(path) < 2:
            raise ValueError(
                f'{self.ann_file}: image {image["id"]} has no coco_url, '
                'which tells the folder of an LVIS v1 image; for files with '
                'file_name use CocoSplitDataset'
            )
        image['file_name'] = '/'.join(path)
        return super().parse_data_info(raw_data_info)
