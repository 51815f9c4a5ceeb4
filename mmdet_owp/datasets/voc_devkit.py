"""PASCAL VOC's own files in COCO format."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import ParseError

from mmdet.datasets import VOCDataset

from mmdet_owp.datasets.image_files import image_size
from mmdet_owp.errors import UserError
from mmdet_owp.partitions import COCO_VOC

# What mmdet raises on a file that is missing, no XML, or lacks a value.
_BROKEN = (OSError, ParseError, AttributeError, TypeError, ValueError)


class _CheckedVOCDataset(VOCDataset):
    """Raise a UserError for a wrong file; take the sizes of the JPEGs."""

    def load_data_list(self) -> list[dict]:
        if not osp.isfile(self.ann_file):
            raise UserError(
                f'no list of images {self.ann_file}: unpack PASCAL VOC again'
            )
        return super().load_data_list()

    def parse_data_info(self, img_info: dict) -> dict:
        path = osp.join(self.sub_data_root, img_info['file_name'])
        size = image_size(path, decode=False)
        if isinstance(size, str):
            raise self._error(img_info, path, 'cannot be decoded')
        path = img_info['xml_path']
        try:
            info = super().parse_data_info(img_info)
            for x1, y1, x2, y2 in (i['bbox'] for i in info['instances']):
                if x2 < x1 or y2 < y1:
                    raise ValueError('a negative side')
        except _BROKEN as error:
            why = 'not an annotation of PASCAL VOC'
            raise self._error(img_info, path, why) from error
        info['width'], info['height'] = size
        return info

    def _error(self, img_info: dict, path: str, why: str) -> UserError:
        return UserError(
            f'{path}: missing or {why}; unpack PASCAL VOC again, or remove '
            f'the line {img_info["img_id"]} from {self.ann_file}'
        )


def read_voc(root: str, parts: Sequence[Mapping]) -> dict:
    """Read the training images of PASCAL VOC.

    Boxes are those that mmdet's ``VOCDataset`` loads. Difficult objects become
    crowd regions: training ignores both.

    Args:
        root (str): the folder ``VOCdevkit``, with ``VOC2007``, ``VOC2012`` or
            both.
        parts (Sequence[dict]): configs of a ``VOCDataset`` per year, whose
            classes are in the order of COCO's ids.

    Returns:
        dict: in COCO format, with COCO's ids and names of the 20 classes;
        ``file_name`` is relative to ``root``.

    Raises:
        UserError: if a file is missing or broken.
    """
    years = [part['data_prefix']['sub_data_root'] for part in parts]
    present = [p for p, y in zip(parts, years) if osp.isdir(osp.join(root, y))]
    if not present:
        raise UserError(
            f'{root}: no folder {" or ".join(years)} in it; give the folder '
            'VOCdevkit of PASCAL VOC, or an annotation file and its images'
        )
    category_ids = sorted(COCO_VOC)
    images: list[dict] = []
    annotations: list[dict] = []
    for part in present:
        kwargs = {k: v for k, v in part.items() if k != 'type'}
        kwargs.update(data_root=root, pipeline=[], filter_cfg=None)
        dataset = _CheckedVOCDataset(**kwargs, lazy_init=True)
        for info in dataset.load_data_list():
            file_name = Path(info['img_path']).relative_to(root).as_posix()
            size = dict(width=info['width'], height=info['height'])
            images.append(dict(id=len(images), file_name=file_name, **size))
            for instance in info['instances']:
                x1, y1, x2, y2 = instance['bbox']
                annotations.append(
                    dict(
                        image_id=images[-1]['id'],
                        category_id=category_ids[instance['bbox_label']],
                        bbox=[x1, y1, x2 - x1, y2 - y1],
                        area=(x2 - x1) * (y2 - y1),
                        iscrowd=instance['ignore_flag'],
                    )
                )
    return dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=i, name=COCO_VOC[i]) for i in category_ids],
    )
