"""The built-in data in the format of LVIS v1, to try the LVIS path.

Families stand under classes of LVIS v1: base ones under classes that are base
in both of its partitions, novel ones under classes that are novel in both.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmdet_owp.partitions import LVIS, SHAPES_BASE, SHAPES_NOVEL

# Ids of LVIS v1. The base ones are rare, common and frequent; only 22 classes
# are novel both ways.
LVIS_IDS = {
    'rectangle': 143, 'ellipse': 818, 'triangle': 1119, 'ring': 885,
    'cross': 330, 'star': 1007, 'crescent': 327, 'hexagon': 341,
    'arrow': 1173, 'heart': 1105, 'gear': 1083, 'l-shape': 1100,
    'lightning': 1104, 'flower': 1197, 'drop': 1172, 'horseshoe': 1191,
    'key': 1070, 'bone': 1103, 'fish': 1059, 'hourglass': 1121,
    'spiral': 1061, 'pinwheel': 1114
}  # fmt: skip


def to_lvis(coco: Mapping, folder: str) -> dict:
    """Make an LVIS v1 file of a COCO file of the built-in data.

    As in LVIS, an image tells which classes are there, which are known to be
    absent, and nothing of the rest; and of some that are there not every
    object is annotated. A fixed rule on the ids chooses: of the absent
    families every other is known to be, of the present ones every fifth
    keeps its first object only.

    Args:
        coco (dict): ``images``, ``annotations`` and ``categories``.
        folder (str): that holds the images, for ``coco_url``.

    Returns:
        dict: with the categories of LVIS v1.
    """
    families = {**SHAPES_BASE, **SHAPES_NOVEL}
    of_image: dict[int, dict[int, list[dict]]] = {}
    for a in coco['annotations']:
        category = LVIS_IDS[families[a['category_id']]]
        of_image.setdefault(a['image_id'], {}).setdefault(category, []).append(
            dict(a, category_id=category)
        )
    images, annotations = [], []
    for image in coco['images']:
        number = image['id']
        present = of_image.get(number, {})
        partly = [i for i in present if (number + i) % 5 == 0]
        for category, objects in present.items():
            annotations += objects[:1] if category in partly else objects
        images.append(
            dict(
                id=number,
                coco_url='http://images.cocodataset.org/'
                f'{folder}/{image["file_name"]}',
                width=image['width'],
                height=image['height'],
                neg_category_ids=[
                    i
                    for i in LVIS_IDS.values()
                    if i not in present and (number + i) % 2 == 0
                ],
                not_exhaustive_category_ids=partly,
            )
        )
    # No counts of training images: those of LVIS make its partitions.
    categories = [
        dict(id=i, name=name, frequency=frequency)
        for i, (name, frequency) in sorted(LVIS.items())
    ]
    return dict(
        images=images,
        annotations=[
            dict(a, id=n) for n, a in enumerate(annotations, start=1)
        ],
        categories=categories,
    )
