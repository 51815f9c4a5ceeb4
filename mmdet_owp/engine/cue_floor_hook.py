"""Log the lower bounds of the cues' losses."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.losses import CrossEntropyLoss
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from torch import Tensor, nn

from mmdet_owp.errors import UserError
from mmdet_owp.models.dense_heads.cues import CUES
from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead


@HOOKS.register_module()
class CueFloorHook(Hook):
    r"""Logs the entropy of the cues' soft targets as ``floor_loss_<cue>``.

    Binary cross entropy of a prediction p with a soft target t is
    :math:`H(t) + \mathrm{KL}(t \| p)`. Its minimum is the entropy
    :math:`H(t)`, which is 0 only if all targets are 0 or 1. The distance of a
    loss from this floor shows what is left to learn (paper, Sec. 5.1, where a
    centerness loss near 0.6 is taken for a failure to learn).

    The floor is the loss computed with the targets as prediction, and the
    same weights and divisor. It does not change the training.
    ``tools/analysis_tools/plot_metrics.py`` draws it::

        python tools/train.py CONFIG \
            --cfg-options default_hooks.cue_floor.type=CueFloorHook

    Raises:
        UserError: before the training, if the model has no cues or their
            loss is not a binary cross entropy.
    """

    def before_train(self, runner: Any) -> None:
        """Start to listen to the loss of the cues."""
        model = getattr(runner.model, 'module', runner.model)
        self._head = getattr(model, 'bbox_head', None)
        if not isinstance(self._head, OWPFCOSHead):
            raise UserError(
                'CueFloorHook: the bbox_head has no cues; it must be an '
                'OWPFCOSHead'
            )
        loss = self._head.loss_objectness
        if not (isinstance(loss, CrossEntropyLoss) and loss.use_sigmoid):
            raise UserError(
                'CueFloorHook: only a binary cross entropy has the floor it '
                'logs: loss_objectness must be CrossEntropyLoss with '
                'use_sigmoid=True'
            )
        self._floors: list[Tensor] = []
        self._handle = loss.register_forward_hook(
            self._listen, with_kwargs=True
        )

    def after_train(self, runner: Any) -> None:
        """Stop listening."""
        self._handle.remove()

    @torch.no_grad()
    def _listen(
        self, loss: nn.Module, inputs: tuple, options: dict, output: Tensor
    ) -> None:
        """Compute the floor of a cue; the head computes cue after cue."""
        _, target, *others = inputs
        # eps keeps the logits of 0 and 1 finite.
        self._floors.append(
            loss.forward(
                target.float().logit(eps=1e-6), target, *others, **options
            )
        )

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Log the floors of the iteration, smoothed as the losses are."""
        cues = [
            c for c in self._head.cues if CUES[c].loss == 'loss_objectness'
        ]
        # A frozen head computes no losses of cues.
        for cue, floor in zip(cues, self._floors):
            runner.message_hub.update_scalar(f'train/floor_loss_{cue}', floor)
        self._floors.clear()
