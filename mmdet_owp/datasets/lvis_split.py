"""LVIS v1 divided into base and novel classes."""

from __future__ import annotations

from mmdet.datasets import CocoDataset, LVISV1Dataset
from mmdet.registry import DATASETS

from mmdet_owp.datasets.coco_split import CocoSplitDataset
from mmdet_owp.errors import UserError


@DATASETS.register_module()
class LVISSplitDataset(CocoSplitDataset, LVISV1Dataset):
    """LVIS v1, showing the boxes of one side of a partition.

    Like :class:`CocoSplitDataset`, but images are located by ``coco_url``:
    each LVIS file uses images of both ``train2017/`` and ``val2017/`` of
    COCO, so ``data_prefix`` is the folder that holds the two.

    Args:
        partition (str | list | dict): ``'lvis-id'``, ``'lvis-count'``, or
            another, see :func:`mmdet_owp.partitions.resolve_partition`.
        split (str): ``'base'``, ``'novel'`` or ``'all'``.
        class_agnostic (bool): see :class:`CocoSplitDataset`.
        **kwargs: those of mmdet's ``CocoDataset``, without ``classes`` in
            ``metainfo``.

    Raises:
        UserError: if the annotation file is missing, not of LVIS v1, has
            images without ``coco_url``, or classes that are not those of the
            partition.

    In a config::

        dataset = dict(
            type='LVISSplitDataset', partition='lvis-id', split='base',
            data_root='data/lvis_v1', data_prefix=dict(img=''),
            ann_file='annotations/lvis_v1_train.json', pipeline=[])
    """

    # LVISV1Dataset ignores the classes of `metainfo` and parses the file, of
    # a gigabyte, by another package.
    load_data_list = CocoDataset.load_data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Locate the image by its URL.

        Args:
            raw_data_info (dict): an image and its annotations.

        Raises:
            UserError: if there is no URL.
        """
        image = raw_data_info['raw_img_info']
        path = image.get('coco_url', '').split('/')[-2:]
        if len(path) < 2:
            raise UserError(
                f'{self.ann_file}: image {image["id"]} has no coco_url, '
                'by which LVIS v1 images are located; for images with a '
                'file_name use CocoSplitDataset'
            )
        image['file_name'] = '/'.join(path)
        return super().parse_data_info(raw_data_info)
