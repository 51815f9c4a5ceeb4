"""Import every registered module, for ``custom_imports`` of configs.

This imports mmdet, which takes seconds; importing :mod:`mmdet_owp` does not.
"""

from mmdet_owp.datasets import batch_sampler, coco_split, lvis_split
from mmdet_owp.engine import (
    bfloat16,
    channels_last_hook,
    checkpoint,
    checkpoint_match,
    compile_hook,
    cue_floor_hook,
    json_handler,
    merged_groups,
    resumable_loop,
)
from mmdet_owp.evaluation import (
    class_agnostic_recall_metric,
    class_wise_metric,
    dump_proposals_metric,
)
from mmdet_owp.models.dense_heads import oln_rpn_head, owp_fcos_head
from mmdet_owp.models.detectors import frozen_features_fcos
from mmdet_owp.models.losses import unknown_mask_focal_loss
from mmdet_owp.models.roi_heads import bbox_score_head, oln_roi_head
from mmdet_owp.models.task_modules import iou_sampler
from mmdet_owp.models.test_time_augs import proposal_tta
from mmdet_owp.visualization import proposal_visualization_hook

__all__ = [
    'batch_sampler',
    'bbox_score_head',
    'bfloat16',
    'channels_last_hook',
    'checkpoint',
    'checkpoint_match',
    'class_agnostic_recall_metric',
    'class_wise_metric',
    'coco_split',
    'compile_hook',
    'cue_floor_hook',
    'dump_proposals_metric',
    'frozen_features_fcos',
    'iou_sampler',
    'json_handler',
    'lvis_split',
    'merged_groups',
    'oln_roi_head',
    'oln_rpn_head',
    'owp_fcos_head',
    'proposal_tta',
    'proposal_visualization_hook',
    'resumable_loop',
    'unknown_mask_focal_loss',
]
