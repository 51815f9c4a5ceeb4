"""Recall and precision of proposals and detections, on plain arrays."""

from mmdet_owp.recall.bootstrap import bootstrap_difference, paired_interval
from mmdet_owp.recall.boxes import corners_to_xywh
from mmdet_owp.recall.class_wise import (
    ClassWise,
    Detections,
    Federation,
    evaluate_classes,
)
from mmdet_owp.recall.evaluation import Evaluation
from mmdet_owp.recall.evaluator import AREA_RANGES, IOU_THRS, RecallEvaluator
from mmdet_owp.recall.protocols import PROTOCOLS
from mmdet_owp.recall.tables import (
    GroundTruth,
    Proposals,
    as_id,
    id_array,
    image_positions,
)

__all__ = [
    'AREA_RANGES',
    'IOU_THRS',
    'PROTOCOLS',
    'ClassWise',
    'Detections',
    'Evaluation',
    'Federation',
    'GroundTruth',
    'Proposals',
    'RecallEvaluator',
    'as_id',
    'bootstrap_difference',
    'corners_to_xywh',
    'evaluate_classes',
    'id_array',
    'image_positions',
    'paired_interval',
]
