"""Which classes are base (trained on) and which are novel (evaluated)."""

from mmdet_owp.partitions.partition import (
    COCO_NON_VOC,
    COCO_VOC,
    LVIS,
    LVIS_PARTITIONS,
    SHAPES_BASE,
    SHAPES_NOVEL,
    SPLITS,
    Partition,
    PartitionLike,
    parse_partition,
    resolve_partition,
)

__all__ = [
    'COCO_NON_VOC',
    'COCO_VOC',
    'LVIS',
    'LVIS_PARTITIONS',
    'SHAPES_BASE',
    'SHAPES_NOVEL',
    'SPLITS',
    'Partition',
    'PartitionLike',
    'parse_partition',
    'resolve_partition',
]
