"""The built-in data in the format of LVIS v1, to try the LVIS configs.

Each family takes the place of one class of LVIS v1: base families of classes
that are base in both partitions of LVIS, novel ones of classes novel in both.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmdet_owp.partitions import LVIS
from mmdet_owp.shapes.objects import FAMILIES

# Ids of LVIS v1. The base classes are rare, common and frequent; only 22
# classes are novel in both partitions.
LVIS_IDS = {
    'rectangle': 143, 'ellipse': 818, 'triangle': 1119, 'ring': 885,
    'cross': 330, 'star': 1007, 'crescent': 327, 'hexagon': 341,
    'arrow': 1173, 'heart': 1105, 'gear': 1083, 'l-shape': 1100,
    'lightning': 1104, 'flower': 1197, 'drop': 1172, 'horseshoe': 1191,
    'key': 1070, 'bone': 1103, 'fish': 1059, 'hourglass': 1121,
    'spiral': 1061, 'pinwheel': 1114
}  # fmt: skip


def to_lvis(coco: Mapping, folder: str) -> dict:
    """Convert a COCO file of the built-in data to LVIS v1.

    As in LVIS, an image lists which classes are present and which are known
    to be absent; the rest is unknown, and some of the present classes are not
    annotated exhaustively. A fixed rule on the ids decides: half of the absent
    families are listed as absent, and a fifth of the present ones keeps its
    first object only.

    Args:
        coco (dict): ``images``, ``annotations`` and ``categories``.
        folder (str): name of the image folder, for ``coco_url``.
    """
    by_image: dict[int, dict[int, list[dict]]] = {}
    for ann in coco['annotations']:
        category = LVIS_IDS[FAMILIES[ann['category_id']]]
        present = by_image.setdefault(ann['image_id'], {})
        present.setdefault(category, []).append(
            dict(ann, category_id=category)
        )
    images, annotations = [], []
    for image in coco['images']:
        image_id = image['id']
        present = by_image.get(image_id, {})
        partial = [i for i in present if (image_id + i) % 5 == 0]
        for category, objects in present.items():
            annotations += objects[:1] if category in partial else objects
        absent = [i for i in LVIS_IDS.values() if i not in present]
        url = f'http://images.cocodataset.org/{folder}/{image["file_name"]}'
        images.append(
            dict(
                id=image_id,
                coco_url=url,
                width=image['width'],
                height=image['height'],
                neg_category_ids=[
                    i for i in absent if (image_id + i) % 2 == 0
                ],
                not_exhaustive_category_ids=partial,
            )
        )
    for ann_id, ann in enumerate(annotations, start=1):
        ann['id'] = ann_id
    # Without the counts of training images, which belong to LVIS itself.
    categories = [
        dict(id=i, name=name, frequency=frequency)
        for i, (name, frequency) in sorted(LVIS.items())
    ]
    return dict(images=images, annotations=annotations, categories=categories)
