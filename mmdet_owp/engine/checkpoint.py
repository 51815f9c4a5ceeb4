"""Checkpoints are loaded without executing code that they may carry.

A checkpoint is a pickle, and a pickle can call any function. PyTorch's
``weights_only`` loading calls only functions on a list; mmengine's training
checkpoints need a few more than PyTorch lists, and mmengine itself either
cannot load them (0.10.7) or falls back to executing anything (0.10.12).
Importing this module gives mmengine's ``CheckpointLoader`` loaders that never
fall back, so that ``load_from``, resuming and ``init_cfg`` are safe too.
"""

from __future__ import annotations

import os
import os.path as osp
import pickle
import re
from collections.abc import Sequence
from typing import Any, Callable, Union
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.dist import barrier
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from torch import nn
from torch.hub import download_url_to_file, get_dir

MapLocation = Union[str, torch.device, Callable, None]


class RefusedCheckpointError(ValueError):
    """Loading the checkpoint would call more than weights need."""


def _history_buffer_method(owner: type, name: str) -> Callable:
    """Stand in for ``getattr``, by which a ``HistoryBuffer`` is pickled.

    ``getattr`` itself would let a pickle reach any object from a listed one.
    """
    if owner is not HistoryBuffer or name not in (
        'min',
        'max',
        'current',
        'mean',
    ):
        raise pickle.UnpicklingError(f'GLOBAL getattr({owner}, {name!r})')
    return getattr(HistoryBuffer, name)


def _safe_globals() -> list:
    """What mmengine's training checkpoints hold beyond plain weights."""
    # NumPy 2 calls this module `numpy._core`, and each version must read the
    # checkpoints of the other.
    core = getattr(np, '_core', None) or np.core
    functions = [
        (getattr(core.multiarray, name), f'numpy.{module}.multiarray.{name}')
        for name in ('_reconstruct', 'scalar')
        for module in ('core', '_core')
    ]
    # The classes of the numeric dtypes, of which pickles set the byte order.
    dtypes = {type(np.dtype(code)) for code in '?bBhHiIlLqQefdSU'}
    return [
        *functions,
        *dtypes,
        np.dtype,
        np.ndarray,
        HistoryBuffer,
        (_history_buffer_method, 'builtins.getattr'),
    ]


def check_exists(path: str, remedy: str | None = None) -> None:
    """Check that a checkpoint is there; of URLs, that is left to the loader.

    Args:
        path (str): a file or a URL.
        remedy (str, optional): how to come by the file.

    Raises:
        FileNotFoundError: in one line, if there is no such file.
    """
    if '://' not in path and not osp.isfile(osp.expanduser(path)):
        raise FileNotFoundError(
            f'{path}: no such checkpoint file; '
            + (
                remedy
                or 'trained ones are in work_dirs/NAME_OF_CONFIG, and the '
                'config names those it starts from (load_from, init_cfg)'
            )
        )


def load_checkpoint(
    path: str, map_location: MapLocation = 'cpu', trust: bool = False
) -> dict:
    """Load a checkpoint file; nothing in it is executed unless trusted.

    The text of the config that a training checkpoint holds is dropped:
    mmengine would execute it, when resuming and in inferencers.

    Args:
        path (str): a file written by mmengine or by ``torch.save``.
        map_location (str | torch.device | Callable, optional): as in
            :func:`torch.load`. Defaults to ``'cpu'``.
        trust (bool): let the file call what it likes.

    Returns:
        dict: the checkpoint, or a bare state dict.

    Raises:
        FileNotFoundError: if there is no such file.
        RefusedCheckpointError: a ValueError in one line, if it needs a
            function that is not on the list of harmless ones.
        ValueError: likewise, if the file is no checkpoint or is damaged.
    """
    path = osp.expanduser(path)
    check_exists(path)
    try:
        with torch.serialization.safe_globals(_safe_globals()):
            checkpoint = torch.load(
                path, map_location=map_location, weights_only=not trust
            )
    # A file that isn't a checkpoint makes PyTorch's reader raise anything.
    except Exception as error:
        refused = re.search(r'GLOBAL (\S+\([^)]*\)|\S+)', str(error))
        if refused:
            raise RefusedCheckpointError(
                f'{path}: refused, because loading it would call '
                f'{refused.group(1)}, which weights do not need; if you know '
                'and trust its author, ask for a file that holds tensors '
                "only: torch.save(dict(state_dict=...), 'FILE')"
            ) from error
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
            raise
        raise ValueError(
            f'{path}: not a PyTorch checkpoint, or a damaged one (cut off '
            'while it was written or copied); take another file'
        ) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f'{path}: a {type(checkpoint).__name__}, not a '
            'checkpoint; take a file that holds a state dict'
        )
    return _drop_config_text(checkpoint)


def _drop_config_text(checkpoint: dict) -> dict:
    """Take out what mmengine would execute as a config."""
    hub = checkpoint.get('message_hub')
    info = hub.get('runtime_info') if isinstance(hub, dict) else None
    for holder in (checkpoint.get('meta'), info):
        if isinstance(holder, dict):
            holder.pop('config', None)
            holder.pop('cfg', None)
    return checkpoint


# mmengine names the two in its log by what follows `load_from_`.
def load_from_local(filename: str, map_location: MapLocation = None) -> dict:
    """Load a local file, for mmengine's ``CheckpointLoader``."""
    return load_checkpoint(filename, map_location)


def load_from_http(filename: str, map_location: MapLocation = None) -> dict:
    """Load from a URL, for mmengine's ``CheckpointLoader``."""
    path = osp.join(
        get_dir(), 'checkpoints', osp.basename(urlparse(filename).path)
    )
    # The first process of each machine downloads, the others find the file.
    if int(os.environ.get('LOCAL_RANK', 0)) == 0 and not osp.exists(path):
        os.makedirs(osp.dirname(path), exist_ok=True)
        download_url_to_file(filename, path)
    barrier()
    return load_checkpoint(path, map_location)


CheckpointLoader.register_scheme('', load_from_local, force=True)
CheckpointLoader.register_scheme(
    ('http://', 'https://'), load_from_http, force=True
)


def unlike_weights(model: nn.Module, checkpoint: dict) -> list[str]:
    """Name the model's weights that a checkpoint would leave random.

    Args:
        model (nn.Module): without a wrapper.
        checkpoint (dict): as :func:`load_checkpoint` returns it.

    Returns:
        list[str]: those that it lacks or has in another shape.
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
    """Give a model all of its weights.

    Args:
        model (nn.Module): without a wrapper.
        checkpoint (dict): as :func:`load_checkpoint` returns it.
        path (str): where it is from.

    Raises:
        ValueError: in one line, if it would leave some random.
    """
    wrong = unlike_weights(model, checkpoint)
    if wrong:
        raise ValueError(
            f'{path}: made by another config: {len(wrong)} weight(s) are '
            f'missing or have another shape, such as {wrong[0]}; give the '
            'config the checkpoint was trained with'
        )
    _load_checkpoint_to_model(model, checkpoint)


def _named_weights(checkpoint: dict) -> dict:
    return {
        re.sub(r'^module\.', '', name): weight
        for name, weight in checkpoint.get('state_dict', checkpoint).items()
    }


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Stops a run whose checkpoint leaves weights of the model random.

    mmengine only logs them. Weights that the model has no use for, such as
    the classifier of a baseline tested as a proposer, are no error.

    Args:
        new_weights (Sequence[str]): beginnings of the names of weights that
            a training adds to those it starts from (``load_from``). There
            they may be missing, not in a resumed run nor in a test; and in
            training any other difference, weights without use included, is
            an error.
    """

    def __init__(self, new_weights: Sequence[str] = ()) -> None:
        self.new_weights = tuple(new_weights)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Compare the checkpoint's names and shapes with the model's.

        Args:
            runner (Runner): whose model is about to take the weights.
            checkpoint (dict): as :func:`load_checkpoint` returns it. New
                weights are put in as they are in the model, which keeps
                mmengine from warning of them.

        Raises:
            ValueError: in one line, if the checkpoint and the model differ
                in more than they may.
        """
        model = getattr(runner.model, 'module', runner.model)
        state = checkpoint.get('state_dict', checkpoint)
        given = _named_weights(checkpoint)
        wanted = model.state_dict()
        wrong = unlike_weights(model, checkpoint)
        fault = 'are missing or have another shape'
        remedy = 'give the config the checkpoint was trained with'
        # The runner builds its optimizer to train, before it loads.
        training = isinstance(runner.optim_wrapper, OptimWrapper)
        if self.new_weights and training:
            wrong += [name for name in given if name not in wanted]
            fault = 'are missing, have another shape or are of no use'
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
                    f'{names}, which are new and start as initialised'
                )
        if wrong:
            raise ValueError(
                f'{runner._load_from}: made by another config than '
                f'{runner.cfg.filename}: {len(wrong)} weight(s) {fault}, such '
                f'as {wrong[0]}; {remedy}'
            )
