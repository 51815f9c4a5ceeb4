"""Building a detector with trained weights."""

from __future__ import annotations

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader
from torch import nn

from mmdet_owp.engine.checkpoint import check_exists, load_checkpoint
from mmdet_owp.engine.checkpoint_match import load_weights
from mmdet_owp.engine.launch import read_config
from mmdet_owp.errors import UserError


def load_detector(
    config: str | Config,
    checkpoint: str | None,
    device: str = 'cpu',
    trust: bool = False,
) -> nn.Module:
    """Build the detector of a config, with all weights of a checkpoint.

    As mmdet's ``init_detector``, except that weights that do not match are an
    error and nothing in the checkpoint is executed.

    Args:
        config (str | Config): a config or its path.
        checkpoint (str, optional): a path or URL; None leaves the weights
            random.
        device (str): defaults to ``'cpu'``.
        trust (bool): let the checkpoint, a local file, call any function
            while it is loaded. Defaults to False.

    Returns:
        nn.Module: in eval mode, with the config as ``cfg`` and, as
        ``dataset_meta``, what the checkpoint says of its training data;
        ``dataset_meta['classes']`` is an empty tuple if that is nothing.

    Raises:
        UserError: if a file is missing, or the checkpoint is damaged, refused
            or from another config, or there is no such device.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f'no device {device!r} here: {str(error).splitlines()[0]}'
        ) from error
    if not isinstance(config, Config):
        config = read_config(config)
    weights = {}
    if checkpoint is not None:
        check_exists(checkpoint)
        weights = (
            load_checkpoint(checkpoint, trust=True)
            if trust
            else CheckpointLoader.load_checkpoint(checkpoint, 'cpu')
        )
    with DefaultScope.overwrite_default_scope(
        config.get('default_scope', 'mmdet')
    ):
        model = MODELS.build(config.model)
    if checkpoint is not None:
        load_weights(model, weights, checkpoint)
    meta = weights.get('meta', {}).get('dataset_meta', {})
    model.dataset_meta = {'classes': (), **meta}
    model.cfg = config
    return model.to(device).eval()
