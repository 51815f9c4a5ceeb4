"""COCO-format data sets divided into base and novel classes."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping
from contextlib import suppress

import cv2
from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS

from mmdet_owp.datasets.coco_file import (
    check_categories,
    keep_objects,
    read_coco,
)
from mmdet_owp.datasets.image_files import name_hint
from mmdet_owp.errors import UserError
from mmdet_owp.partitions import PartitionLike, resolve_partition


@DATASETS.register_module()
class CocoSplitDataset(CocoDataset):
    """A COCO-format data set that shows the boxes of one side of a partition.

    Labels follow ascending category ids. Crowd regions become ignored
    instances. With ``filter_empty_gt``, training leaves out images whose only
    boxes are crowd regions or of the other side.

    Metrics and checkpoints find the ``partition`` in ``metainfo``, and with
    ``test_mode=True`` the path of the annotation file as ``ann_file``.

    Args:
        partition (str | list | dict): see
            :func:`mmdet_owp.partitions.resolve_partition`.
        split (str): ``'base'``, ``'novel'`` or ``'all'``.
        class_agnostic (bool): whether all boxes have label 0, of the class
            ``'object'``, for detectors with ``num_classes=1``.
        **kwargs: those of mmdet's ``CocoDataset``, without ``classes`` in
            ``metainfo``.

    Attributes:
        partition_classes (Partition): ids and names of both sides in this
            annotation file.

    Raises:
        UserError: if the annotation file is missing, not in COCO format, or
            its classes are not those of the partition.

    In a config::

        dataset = dict(
            type='CocoSplitDataset', partition=['cat', 'dog'], split='base',
            ann_file='pets.json', data_prefix=dict(img='images/'),
            pipeline=[])
    """

    def __init__(
        self,
        *args,
        partition: PartitionLike,
        split: str,
        class_agnostic: bool = False,
        **kwargs,
    ) -> None:
        self.partition = partition
        self.split = split
        self.class_agnostic = class_agnostic
        super().__init__(*args, **kwargs)

    def full_init(self) -> None:
        """Load the annotations and complete ``metainfo``."""
        super().full_init()
        if self.class_agnostic:
            self._metainfo['classes'] = ('object',)
        # Not by the argument `metainfo`: mmengine opens strings as files.
        self._metainfo['partition'] = _plain(self.partition)
        if self.test_mode:
            self._metainfo['ann_file'] = self.ann_file

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Parse an image as ``CocoDataset``; ``class_agnostic``: label 0.

        Args:
            raw_data_info (dict): an image and its annotations.

        Raises:
            UserError: if the image has no file name.
        """
        image = raw_data_info['raw_img_info']
        if not image.get('file_name'):
            raise UserError(
                f'{self.ann_file}: image {image["id"]} has no file_name, only '
                'a coco_url; for LVIS v1 use LVISSplitDataset'
            )
        info = super().parse_data_info(raw_data_info)
        if self.class_agnostic:
            for instance in info['instances']:
                instance['bbox_label'] = 0
        return info

    def COCOAPI(self, annotation_file: str) -> COCO:  # noqa: N802
        """Read the file and take the classes from its categories.

        ``CocoDataset`` calls this and then looks up the classes.
        """
        coco = COCO()
        coco.dataset = read_coco(annotation_file)
        coco.createIndex()
        coco.img_ann_map, coco.cat_img_map = coco.imgToAnns, coco.catToImgs
        categories = coco.dataset['categories']
        check_categories(categories, annotation_file)
        self.partition_classes = resolve_partition(
            self.partition, categories, annotation_file
        )
        classes = self.partition_classes.names(self.split)
        if not classes:  # mmdet would take all
            raise UserError(
                f'{annotation_file}: partition {self.partition!r} has no '
                f"{self.split} classes: use split='novel' or 'all'"
            )
        self._metainfo['classes'] = classes
        if self.test_mode:
            with suppress(UserError):  # a metric that needs them raises it
                keep_objects(annotation_file, coco.dataset)
        return coco

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on an image.

        Raises:
            UserError: if the image file is missing or cannot be decoded.
        """
        info = self.get_data_info(idx)
        try:
            return self.pipeline(info)
        except (AssertionError, OSError, ValueError, cv2.error) as error:
            if 'img' in info:  # the image is loaded, a transform failed
                raise
            path, folder = info['img_path'], self.data_prefix.get('img', '')
            name = osp.relpath(path, folder or '.')
            hint = name_hint(folder, [] if osp.isfile(path) else [name])
            raise UserError(
                f'{path}: missing or cannot be decoded{hint}; replace it or '
                f'remove it from {self.ann_file}'
            ) from error

    def filter_data(self) -> list[dict]:
        """Also leave out images whose only boxes are crowd regions.

        Raises:
            UserError: if no image is left.
        """
        data_list = super().filter_data()
        if not self.test_mode and (self.filter_cfg or {}).get(
            'filter_empty_gt', False
        ):
            data_list = [
                info
                for info in data_list
                if any(not i['ignore_flag'] for i in info['instances'])
            ]
        if not data_list:
            raise UserError(
                f'{self.ann_file}: none of its {len(self.data_list)} images '
                f'is left: filter_cfg={self.filter_cfg} leaves out images '
                f'that are small or have no valid {self.split} box; '
                'tools/dataset_tools/check_dataset.py counts the reasons'
            )
        return data_list


def _plain(value: PartitionLike) -> PartitionLike:
    """Convert config types to those that every reader of checkpoints knows."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value if isinstance(value, (str, int)) else [*map(_plain, value)]
