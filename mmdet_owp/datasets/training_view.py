"""What training sees of an annotation file, without mmdet.

The rules are those of mmdet's ``CocoDataset`` and of ``CocoSplitDataset``
with the ``filter_cfg`` of the configs. Evaluation follows pycocotools and
counts every object.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

# Pixels: the `min_size` of images in the configs, and the sides of boxes
# below which mmdet leaves them out.
MIN_IMAGE = 32
MIN_SIDE = 1


class TrainingView(NamedTuple):
    """Images and boxes of the base classes in training.

    Attributes:
        images (frozenset[int]): ids of the images trained on.
        boxes (int): boxes in them, without crowd regions.
        images_left_out (dict[str, int]): images by reason.
        boxes_left_out (dict[str, int]): base boxes, without crowd regions, by
            reason.
    """

    images: frozenset[int]
    boxes: int
    images_left_out: dict[str, int]
    boxes_left_out: dict[str, int]

    def summary(self) -> dict:
        """Return the counts, for JSON."""
        return dict(self._asdict(), images=len(self.images))


def training_view(
    content: Mapping, base: Collection[int], min_size: int = MIN_IMAGE
) -> TrainingView:
    """Count what is trained on.

    Args:
        content (dict): of :func:`~mmdet_owp.datasets.coco_file.read_coco`.
        base (Collection[int]): ids of the base categories.
        min_size (int): smallest side of images, in pixels.
    """
    images = {i['id']: i for i in content['images']}
    kept: Counter[int] = Counter()
    left_out: Counter[str] = Counter()
    has_box, has_crowd = set(), set()
    for a in content['annotations']:
        image = images.get(a['image_id'])
        if a['category_id'] not in base:
            continue
        if a.get('iscrowd'):
            has_crowd.add(a['image_id'])
            continue
        has_box.add(a['image_id'])
        reason = why_left_out(a, image)
        if reason:
            left_out[reason] += 1
        else:
            kept[a['image_id']] += 1
    images_left_out: Counter[str] = Counter()
    for image_id, image in images.items():
        reason = ''
        if min(image['width'], image['height']) < min_size:
            reason = f'smaller than {min_size} pixels'
            left_out['in images that are left out'] += kept.pop(image_id, 0)
        elif not kept[image_id]:
            reason = 'without a base box'
            if image_id in has_box:
                reason = 'all of whose base boxes are left out'
            elif image_id in has_crowd:
                reason = 'with only crowd regions'
        images_left_out.update([reason] * bool(reason))
    return TrainingView(
        frozenset(image_id for image_id, n in kept.items() if n),
        sum(kept.values()),
        dict(images_left_out),
        {reason: n for reason, n in left_out.items() if n},
    )


def why_left_out(annotation: Mapping, image: Mapping | None) -> str:
    """Return why mmdet leaves out an object, or ``''`` if it does not.

    Args:
        annotation (dict): of a normalized file.
        image (dict, optional): its image; None if that is unknown.
    """
    if image is None:
        return 'of images that are not in the file'
    if annotation.get('ignore'):
        return 'marked "ignore"'
    x, y, width, height = annotation['bbox']
    inside_x = min(x + width, image['width']) - max(x, 0)
    inside_y = min(y + height, image['height']) - max(y, 0)
    if width < MIN_SIDE or height < MIN_SIDE:
        return 'narrower than a pixel'
    # A product, as in mmdet: that of tiny overlaps is 0.
    if max(0, inside_x) * max(0, inside_y) == 0:
        return 'outside of their image'
    return 'of area 0' if annotation['area'] <= 0 else ''
