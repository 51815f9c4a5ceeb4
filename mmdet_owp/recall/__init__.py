"""Class-agnostic recall and precision of proposals, on plain arrays."""

from mmdet_owp.recall.boxes import corners_to_xywh
from mmdet_owp.recall.evaluator import (
    AREA_RANGES,
    IOU_THRS,
    PROTOCOLS,
    Evaluation,
    GroundTruth,
    Proposals,
    RecallEvaluator,
    bootstrap_difference,
    image_positions,
)

__all__ = [
    'AREA_RANGES',
    'IOU_THRS',
    'PROTOCOLS',
    'Evaluation',
    'GroundTruth',
    'Proposals',
    'RecallEvaluator',
    'bootstrap_difference',
    'corners_to_xywh',
    'image_positions',
]
