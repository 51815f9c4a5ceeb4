"""Write a COCO-format set as PASCAL VOC does: XML files and JPEGs."""

from __future__ import annotations

from pathlib import Path

import cv2

from mmdet_owp.partitions import COCO_VOC

# COCO's names of VOC's classes that differ.
VOC_NAMES = {
    'motorcycle': 'motorbike',
    'airplane': 'aeroplane',
    'potted plant': 'pottedplant',
    'dining table': 'diningtable',
    'couch': 'sofa',
    'tv': 'tvmonitor',
}


def write_voc(content: dict, photos: Path, root: Path) -> None:
    """Write VOC2007 with the first half of the images, VOC2012 with the rest.

    Crowd regions become difficult objects. Pixels count from 1, and both
    corners belong to a box.
    """
    half = len(content['images']) // 2
    for year, images in (
        (2007, content['images'][:half]),
        (2012, content['images'][half:]),
    ):
        folder = root / f'VOC{year}'
        for name in ('ImageSets/Main', 'Annotations', 'JPEGImages'):
            (folder / name).mkdir(parents=True)
        for image in images:
            stem = Path(image['file_name']).stem
            pixels = cv2.imread(str(photos / image['file_name']))
            cv2.imwrite(str(folder / f'JPEGImages/{stem}.jpg'), pixels)
            objects = ''.join(
                _object(a)
                for a in content['annotations']
                if a['image_id'] == image['id']
                and a['category_id'] in COCO_VOC
            )
            (folder / f'Annotations/{stem}.xml').write_text(
                f'<annotation><size><width>{image["width"]}</width>'
                f'<height>{image["height"]}</height></size>{objects}'
                '</annotation>'
            )
        stems = [Path(i['file_name']).stem for i in images]
        listed = folder / 'ImageSets/Main/trainval.txt'
        listed.write_text('\n'.join(stems) + '\n')


def _object(annotation: dict) -> str:
    x, y, width, height = map(round, annotation['bbox'])
    name = COCO_VOC[annotation['category_id']]
    return (
        f'<object><name>{VOC_NAMES.get(name, name)}</name>'
        f'<difficult>{annotation["iscrowd"]}</difficult>'
        f'<bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>'
        f'<xmax>{x + width}</xmax><ymax>{y + height}</ymax></bndbox></object>'
    )
