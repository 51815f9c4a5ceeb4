"""The table of objectness cues, and how they are combined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Located(NamedTuple):
    """The n locations that have a box to measure the cues against.

    Attributes:
        distances (Tensor): (n, 4) to the box sides (l, t, r, b).
        ious (Tensor): (n, ) IoU of the predicted box. It carries no gradient.
        iou_targets (Tensor): (n, ) the same, 0 below the sampler's threshold.
        sampled (Tensor): (n, ) bool, whether the sampler chose the location.
        in_regression (Tensor): (n, ) bool, whether it trains the regression.
    """

    distances: Tensor
    ious: Tensor
    iou_targets: Tensor
    sampled: Tensor
    in_regression: Tensor


def centerness(distances: Tensor) -> Tensor:
    """Centerness, (n, ), from 0, on a side or outside, to 1, in the center.

    Args:
        distances (Tensor): (n, 4) to the box sides (l, t, r, b).
    """
    left_top, right_bottom = distances.clamp(min=0).split(2, dim=1)
    longer = torch.maximum(left_top, right_bottom).clamp(min=1e-12)
    return (torch.minimum(left_top, right_bottom) / longer).prod(1).sqrt()


class Cue(NamedTuple):
    """What a cue learns, where and with which loss.

    Attributes:
        target (Callable): from :class:`Located` to targets (n, ) in [0, 1].
        locations (str): ``'sampler'``: those of the head's sampler.
            ``'all'``: all locations, with target 0 where there is no box.
        divisor (Callable): from :class:`Located` to the number that divides
            the loss, averaged over processes.
        loss (str): argument of the head that configures the loss; its default
            is in :data:`LOSSES`.
    """

    target: Callable[[Located], Tensor]
    locations: str = 'sampler'
    divisor: Callable[[Located], Tensor] = lambda at: at.sampled.sum()
    loss: str = 'loss_objectness'


CUES = dict(
    centerness=Cue(target=lambda at: centerness(at.distances)),
    iou=Cue(target=lambda at: at.iou_targets),
    # Objects and background told apart, as a classifier of one class does.
    presence=Cue(
        target=lambda at: at.ious,
        locations='all',
        divisor=lambda at: torch.ones_like(at.sampled).sum(),
        loss='loss_presence',
    ),
)
LOSSES = dict(
    loss_objectness=dict(
        type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0
    ),
    loss_presence=dict(
        type='VarifocalLoss',
        use_sigmoid=True,
        alpha=0.75,
        gamma=2.0,
        iou_weighted=True,
        loss_weight=1.0,
    ),
)


def localization_cues(names: Sequence[str]) -> tuple[str, ...]:
    """Return the cues that unknown-object masking looks at by default.

    These are the cues that do not learn 0 for objects without a label, or all
    if there are no others.
    """
    chosen = tuple(name for name in names if CUES[name].locations != 'all')
    return chosen or tuple(names)


def objectness(cue_logits: Tensor) -> Tensor:
    """Geometric mean of the cues' probabilities, (batch, 1, H, W)."""
    if cue_logits.shape[1] == 1:
        return cue_logits.float().sigmoid()
    # Not ``objectness_logits()``: ONNX has no ``expm1``.
    return F.logsigmoid(cue_logits.float()).mean(1, keepdim=True).exp()


def objectness_logits(cue_logits: Tensor) -> Tensor:
    """Logit of :func:`objectness`; a single cue is returned unchanged."""
    if cue_logits.shape[1] == 1:
        return cue_logits
    log_mean = F.logsigmoid(cue_logits.float()).mean(1, keepdim=True)
    return log_mean - torch.log(-torch.expm1(log_mean))
