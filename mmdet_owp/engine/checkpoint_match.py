"""Checkpoints against models: no weight may stay random unnoticed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from mmdet_owp.engine.multi_view import unwrapped
from mmdet_owp.errors import UserError


def unlike_weights(model: nn.Module, checkpoint: dict) -> list[str]:
    """List the model's weights that a checkpoint would leave random.

    Args:
        model (nn.Module): without a wrapper.
        checkpoint (dict): as ``load_checkpoint`` returns it.

    Returns:
        list[str]: names of weights that are missing or have another shape.
    """
    given = _named_weights(checkpoint)
    return [
        name
        for name, weight in model.state_dict().items()
        if getattr(given.get(name), 'shape', None) != weight.shape
        # Counters of batch norms, absent from converted checkpoints.
        and not name.endswith('num_batches_tracked')
    ]


def load_weights(model: nn.Module, checkpoint: dict, path: str) -> None:
    """Load all weights of a model.

    Args:
        model (nn.Module): without a wrapper.
        checkpoint (dict): as ``load_checkpoint`` returns it.
        path (str): of the checkpoint, for the error message.

    Raises:
        UserError: if a weight is missing or has another shape.
    """
    wrong = unlike_weights(model, checkpoint)
    if wrong:
        raise UserError(
            f'{path}: made by another config: {len(wrong)} weight(s) are '
            f'missing or have another shape, such as {wrong[0]}; give the '
            'config the checkpoint was trained with'
        )
    load_state_dict(model, _named_weights(checkpoint))


def _named_weights(checkpoint: dict) -> dict:
    return {
        re.sub(r'^module\.', '', name): weight
        for name, weight in checkpoint.get('state_dict', checkpoint).items()
    }


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Stop a run whose checkpoint leaves weights of the model random.

    mmengine only logs them. Weights that the model does not use, such as the
    classifier of a baseline tested as a proposer, are allowed in a test.

    Args:
        new_weights (Sequence[str]): prefixes of weights that the model adds
            to the one it starts from (``load_from``). Only they may be
            missing, and only when a training starts, not when it resumes;
            then unused weights are an error, too.
    """

    def __init__(self, new_weights: Sequence[str] = ()) -> None:
        self.new_weights = tuple(new_weights)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Compare the checkpoint's names and shapes with the model's.

        Args:
            runner (Runner): about to load the weights into its model.
            checkpoint (dict): as ``load_checkpoint`` returns it. The
                model's new weights are added, so that mmengine does not warn
                about them.

        Raises:
            UserError: if the two differ in other weights.
        """
        model = unwrapped(runner.model)
        state = checkpoint.get('state_dict', checkpoint)
        given = _named_weights(checkpoint)
        wanted = model.state_dict()
        wrong = unlike_weights(model, checkpoint)
        fault = 'are missing or have another shape'
        remedy = 'give the config the checkpoint was trained with'
        # To train, the runner builds its optimizer before it loads weights.
        training = isinstance(runner.optim_wrapper, OptimWrapper)
        if self.new_weights and training:
            wrong += [name for name in given if name not in wanted]
            fault = 'are missing, have another shape or are not used'
        if self.new_weights and training and not runner._resume:
            names = ', '.join(self.new_weights)
            remedy = (
                'load_from must name a checkpoint of the same model '
                f'without {names}'
            )
            new = [
                name
                for name in wrong
                if name not in given and name.startswith(self.new_weights)
            ]
            wrong = [name for name in wrong if name not in new]
            if new and not wrong:
                state.update((name, wanted[name]) for name in new)
                runner.logger.info(
                    f'{runner._load_from}: without the {len(new)} weights of '
                    f'{names}, which are new and start as initialized'
                )
        if wrong:
            raise UserError(
                f'{runner._load_from}: made by another config than '
                f'{runner.cfg.filename}: {len(wrong)} weight(s) {fault}, such '
                f'as {wrong[0]}; {remedy}'
            )
