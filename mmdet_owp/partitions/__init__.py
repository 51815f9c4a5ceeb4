"""Which classes are base (trained on) and which are novel (evaluated)."""

from typing import Any

from mmdet_owp.partitions.classes import (
    COCO_NON_VOC,
    COCO_VOC,
    SHAPES_BASE,
    SHAPES_NOVEL,
)
from mmdet_owp.partitions.lvis import lvis_classes
from mmdet_owp.partitions.named import LVIS_PARTITIONS
from mmdet_owp.partitions.partition import (
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


def __getattr__(name: str) -> Any:
    """Read the LVIS classes, id -> (name, frequency), when asked for."""
    if name == 'LVIS':
        return lvis_classes()
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
