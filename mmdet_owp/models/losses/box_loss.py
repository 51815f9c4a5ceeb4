"""A box loss and the IoU of its boxes, computed together."""

from __future__ import annotations

import torch
from mmdet.models.losses import GIoULoss
from mmdet.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from mmdet_owp.models.task_modules.locations import level_constants

# Smallest divisor in mmdet's bbox_overlaps and, by default, in its GIoULoss.
EPS = 1e-6


def aligned_overlaps(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Compute IoU and GIoU of each box with its counterpart.

    Values and gradients equal those of mmdet's ``bbox_overlaps`` with
    ``is_aligned=True``, which makes the host wait for a copy to the device.

    Args:
        boxes (Tensor): (n, 4) as (x1, y1, x2, y2).
        others (Tensor): (n, 4) in the same units.

    Returns:
        tuple[Tensor, Tensor]: IoU and GIoU, (n, ).
    """
    low, high = boxes.split(2, dim=1)
    other_low, other_high = others.split(2, dim=1)
    areas = _product(high - low) + _product(other_high - other_low)
    overlap = torch.minimum(high, other_high) - torch.maximum(low, other_low)
    overlap = _product(overlap.clamp(min=0))
    eps = level_constants(boxes.device, [[EPS]], boxes.dtype)[0]
    union = torch.maximum(areas - overlap, eps)
    ious = overlap / union
    enclosing = torch.maximum(high, other_high) - torch.minimum(low, other_low)
    enclosing = torch.maximum(_product(enclosing.clamp(min=0)), eps)
    return ious, ious - (enclosing - union) / enclosing


def _product(sides: Tensor) -> Tensor:
    """Multiply width and height, (n, 2)."""
    width, height = sides.unbind(1)
    return width * height


def box_loss(
    loss: nn.Module,
    preds: Tensor,
    targets: Tensor,
    weight: Tensor,
    avg_factor: Tensor,
) -> tuple[Tensor, Tensor]:
    """Compute a box loss and the IoU of predictions and targets.

    mmdet's ``GIoULoss`` uses that IoU; other losses are called. It also asks
    the device whether a weight is positive; without that the loss is the same.

    Args:
        loss (nn.Module): of mmdet's interface.
        preds (Tensor): (n, 4) predicted boxes (x1, y1, x2, y2).
        targets (Tensor): (n, 4) in the same units.
        weight (Tensor): (n, ) of the loss.
        avg_factor (Tensor): divisor of the loss.

    Returns:
        tuple[Tensor, Tensor]: the loss, and the IoUs (n, ) without gradient.
    """
    shared = type(loss) is GIoULoss and loss.eps == EPS
    if not shared or loss.reduction != 'mean':
        ious, _ = aligned_overlaps(preds.detach(), targets)
        return loss(preds, targets, weight, avg_factor=avg_factor), ious
    ious, gious = aligned_overlaps(preds, targets)
    value = weight_reduce_loss(1 - gious, weight, 'mean', avg_factor)
    return loss.loss_weight * value, ious.detach()
