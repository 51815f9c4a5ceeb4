"""Losses of a quality between 0 and 1 that is predicted as a logit."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def quality_loss(
    loss: nn.Module, logits: Tensor, *args: Any, **kwargs: Any
) -> Tensor:
    """Compute a loss that takes either logits or their sigmoid.

    Args:
        loss (nn.Module): as usual in mmdet, one with ``use_sigmoid=True``,
            such as ``CrossEntropyLoss``, takes logits. Any other, such as
            ``L1Loss``, gets their sigmoid.
        logits (Tensor): (N, ).
        *args: further arguments of the loss.
        **kwargs: further arguments of the loss.
    """
    takes_logits = getattr(loss, 'use_sigmoid', False)
    return loss(logits if takes_logits else logits.sigmoid(), *args, **kwargs)
