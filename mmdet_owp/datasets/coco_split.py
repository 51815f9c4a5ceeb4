"""COCO-format data sets divided into base and novel classes."""

from __future__ import annotations

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS

from mmdet_owp.datasets.coco_file import check_categories, read_coco
from mmdet_owp.partitions import PartitionLike, resolve_partition


@DATASETS.register_module()
class CocoSplitDataset(CocoDataset):
    """A COCO-format data set that shows the boxes of one side of a partition.

    Labels are numbered in the order of the partition, ascending category id.
    Crowd boxes are kept as ignored instances. In training, images without a
    box of the split (a crowd region is none) are left out unless
    ``filter_cfg`` says otherwise.

    Args:
        partition (str | list | dict): see
            :func:`mmdet_owp.partitions.resolve_partition`.
        split (str): ``'base'``, ``'novel'`` or ``'all'``.
        class_agnostic (bool): whether all boxes have label 0 and the one
            class is ``'object'``, for detectors with ``num_classes=1``.
        **kwargs: those of mmdet's ``CocoDataset``, without ``classes`` in
            ``metainfo``.

    Attributes:
        partition_classes (Partition): ids and names of both sides in this
            annotation file.

    Raises:
        FileNotFoundError: if there is no annotation file.
        ValueError: if it is not COCO format or its classes are not those of
            the partition.

    Example:
        >>> CocoSplitDataset(
        ...     partition=['cat', 'dog'], split='base',
        ...     ann_file='pets.json', data_prefix=dict(img='images/'),
        ...     pipeline=[])
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
        """Load the annotations, and forget the classes if so told."""
        super().full_init()
        if self.class_agnostic:
            self._metainfo['classes'] = ('object',)

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """As ``CocoDataset``'s, with label 0 if classes don't matter.

        Args:
            raw_data_info (dict): an image and its annotations.
        """
        info = super().parse_data_info(raw_data_info)
        if self.class_agnostic:
            for instance in info['instances']:
                instance['bbox_label'] = 0
        return info

    def COCOAPI(self, annotation_file: str) -> COCO:  # noqa: N802
        """Read the file once, and take the classes from its categories.

        The parent calls the class attribute of this name, and looks up the
        classes right after.
        """
        coco = COCO()
        coco.dataset = read_coco(annotation_file)
        for a in coco.dataset['annotations']:
            if 'area' not in a and 'bbox' in a:  # the parent asks for it
                a['area'] = a['bbox'][2] * a['bbox'][3]
        coco.createIndex()
        coco.img_ann_map, coco.cat_img_map = coco.imgToAnns, coco.catToImgs
        categories = coco.dataset['categories']
        check_categories(categories, annotation_file)
        self.partition_classes = resolve_partition(
            self.partition, categories, annotation_file
        )
        classes = self.partition_classes.names(self.split)
        if not classes:  # which would mean all of them to mmdet
            raise ValueError(
                f'{annotation_file}: partition {self.partition!r} has no '
                f"{self.split} classes: use split='novel' or 'all'"
            )
        self._metainfo['classes'] = classes
        return coco

    def filter_data(self) -> list[dict]:
        """Also leave out images whose only boxes are crowd regions."""
        data_list = super().filter_data()
        if self.test_mode or not (self.filter_cfg or {}).get(
            'filter_empty_gt', False
        ):
            return data_list
        return [
            info
            for info in data_list
            if any(not i['ignore_flag'] for i in info['instances'])
        ]
