"""Imports every registered module: what ``custom_imports`` of configs names.

It imports mmdet, which takes seconds; :mod:`mmdet_owp` itself does not.
"""
from mmdet_owp.datasets import coco_split
from mmdet_owp.models.dense_heads import owp_fcos_head
from mmdet_owp.models.task_modules import iou_sampler

__all__ = ['coco_split', 'iou_sampler', 'owp_fcos_head']
