"""Logs the least that the losses of the cues could be."""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.losses import CrossEntropyLoss
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from torch import Tensor, nn

from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead


@HOOKS.register_module()
class CueFloorHook(Hook):
    r"""Logs the entropy of the cues' soft targets as ``floor_loss_<cue>``.

    Binary cross entropy of a prediction p against a soft target t is
    :math:`H(t) + \mathrm{KL}(t \| p)`: it falls to the entropy :math:`H(t)`
    and no further, which is 0 only if all targets are 0 or 1. How far a loss
    is from its floor tells what is left to learn (paper, Sec. 5.1, where a
    centerness loss near 0.6 is taken for a failure to learn).

    The floor is the loss itself, computed once more of the same targets,
    weights and divisor with the targets as prediction. The training is the
    same with and without. ``tools/analysis_tools/plot_metrics.py`` draws it::

        python tools/train.py CONFIG \
            --cfg-options default_hooks.cue_floor.type=CueFloorHook

    Raises:
        ValueError: before the training, if the model has no cues, or their
            loss is no binary cross entropy.
    """

    def before_train(self, runner: Any) -> None:
        """Listen to the loss of the cues.

        Args:
            runner (Runner): of the training.
        """
        model = getattr(runner.model, 'module', runner.model)
        self._head = getattr(model, 'bbox_head', None)
        if not isinstance(self._head, OWPFCOSHead):
            raise ValueError(
                'CueFloorHook: the bbox_head has no cues; it '
                'must be an OWPFCOSHead'
            )
        loss = self._head.loss_objectness
        if not (isinstance(loss, CrossEntropyLoss) and loss.use_sigmoid):
            raise ValueError(
                'CueFloorHook: only a binary cross entropy has the floor it '
                'logs: loss_objectness must be CrossEntropyLoss with '
                'use_sigmoid=True'
            )
        self._floors: list[Tensor] = []
        self._handle = loss.register_forward_hook(
            self._listen, with_kwargs=True
        )

    def after_train(self, runner: Any) -> None:
        """Stop listening.

        Args:
            runner (Runner): of the training.
        """
        self._handle.remove()

    @torch.no_grad()
    def _listen(
        self, loss: nn.Module, inputs: tuple, options: dict, output: Tensor
    ) -> None:
        """Compute the floor of one cue; the head takes cue after cue."""
        _, target, *others = inputs
        # Logits of 0 and 1 are kept finite.
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
        """Log the floors of the iteration, smoothed as the losses are.

        Args:
            runner (Runner): of the training.
            batch_idx (int): unused.
            data_batch (dict, optional): unused.
            outputs (dict, optional): unused.
        """
        # A frozen head computes no losses of cues.
        for cue, floor in zip(self._head.cues, self._floors):
            runner.message_hub.update_scalar(f'train/floor_loss_{cue}', floor)
        self._floors.clear()
