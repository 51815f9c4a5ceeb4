"""Load checkpoints without executing code that they may carry.

A checkpoint is a pickle, and a pickle can call any function. Only functions
on a list are called here: those PyTorch's ``weights_only`` loading allows and
the few more that mmengine's training checkpoints need, which mmengine itself
either refuses (0.10.7) or executes along with anything else (0.10.12).
Importing this module gives mmengine's ``CheckpointLoader`` such loaders, so
that ``load_from``, resuming and ``init_cfg`` are safe too.
"""

from __future__ import annotations

import codecs
import io
import os
import os.path as osp
import pickle
import re
import struct
import tarfile
import zipfile
from collections import Counter, OrderedDict
from typing import Any, Callable, Union
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.dist import barrier
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as zoo
from mmengine.utils import digit_version
from torch import nn
from torch.hub import download_url_to_file, get_dir

from mmdet_owp.errors import UserError
from mmdet_owp.restricted_pickle import (
    RefusedCallError,
    numpy_globals,
    pickle_module,
)

MapLocation = Union[str, torch.device, Callable, None]

# Older ones have no list of functions that `weights_only` can be given.
_HAS_SAFE_GLOBALS = digit_version(torch.__version__) >= digit_version('2.6')
# What files begin with that torch.save wrote, in its two formats.
_ZIP_START = b'PK\x03\x04'
_LEGACY_START = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
# How PyTorch's readers and pickle tell of files that end early.
_DAMAGED = re.compile(
    'PytorchStreamReader|unexpected EOF|truncated|Ran out of input|'
    'wrong byte size|invalid load key'
)


class RefusedCheckpointError(UserError):
    """Loading the checkpoint would call more than weights need."""


def _history_buffer_method(owner: type, name: str) -> Callable:
    """Stand in for ``getattr``, by which a ``HistoryBuffer`` is pickled.

    ``getattr`` itself would let a pickle reach any object from a listed one.
    """
    methods = ('min', 'max', 'current', 'mean')
    if owner is not HistoryBuffer or name not in methods:
        raise pickle.UnpicklingError(f'GLOBAL getattr({owner}, {name!r})')
    return getattr(HistoryBuffer, name)


def _training_globals() -> dict[tuple[str, str], Any]:
    """Return what training checkpoints hold beyond weights."""
    return {
        **numpy_globals(),
        ('mmengine.logging.history_buffer', 'HistoryBuffer'): HistoryBuffer,
        ('builtins', 'getattr'): _history_buffer_method,
    }


def _load_weights_only(path: str, map_location: MapLocation) -> Any:
    """Load by PyTorch's own restricted reader, from 2.6 on."""
    listed: list = [
        (value, f'{module}.{name}')
        for (module, name), value in _training_globals().items()
    ]
    # The classes of the numeric dtypes, of which pickles set the byte order.
    listed += {type(np.dtype(code)) for code in '?bBhHiIlLqQefdSU'}
    with torch.serialization.safe_globals(listed):
        return torch.load(path, map_location=map_location, weights_only=True)


def _load_restricted(path: str, map_location: MapLocation) -> Any:
    """Load by PyTorch's unrestricted readers with a restricted unpickler.

    Not by ``torch.load``, which before 2.6 hands TorchScript to ``torch.jit``
    and unpacks tar files.
    """
    allowed = {
        **_training_globals(),
        ('_codecs', 'encode'): codecs.encode,
        ('builtins', 'bytearray'): bytearray,
        ('builtins', 'complex'): complex,
        ('builtins', 'set'): set,
        ('builtins', 'slice'): slice,
        ('collections', 'Counter'): Counter,
        ('collections', 'OrderedDict'): OrderedDict,
        ('torch', 'Size'): torch.Size,
        ('torch', 'device'): torch.device,
        ('torch.nn.parameter', 'Parameter'): nn.Parameter,
        # The original unpickles its argument by an unrestricted torch.load.
        ('torch.storage', '_load_from_bytes'): lambda content: _read(
            io.BytesIO(content), map_location, pickler
        ),
    }
    for name in (
        '_rebuild_parameter',
        '_rebuild_tensor',
        '_rebuild_tensor_v2',
    ):
        allowed['torch._utils', name] = getattr(torch._utils, name)
    for name, value in vars(torch).items():
        if isinstance(value, torch.dtype):
            allowed['torch', name] = value
    pickler = pickle_module(allowed)
    with open(path, 'rb') as file:
        return _read(file, map_location, pickler)


def _read(file: Any, map_location: MapLocation, pickler: Any) -> Any:
    """Read a file in either format of ``torch.save``."""
    serialization = torch.serialization
    content = file.read(len(_ZIP_START))
    file.seek(0)
    if content == _ZIP_START:
        with serialization._open_zipfile_reader(file) as archive:
            return serialization._load(
                archive, map_location, pickler, encoding='utf-8'
            )
    # In memory, where the legacy reader does not look for tar files.
    return serialization._legacy_load(
        io.BytesIO(file.read()), map_location, pickler, encoding='utf-8'
    )


def _refuse_other_formats(path: str) -> None:
    """Refuse files by their content that ``torch.save`` did not write."""
    with open(path, 'rb') as file:
        start = file.read(len(_LEGACY_START))
    not_weights = (
        'which holds code, not a checkpoint; take a file that torch.save wrote'
    )
    if start.startswith(_ZIP_START):
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except zipfile.BadZipFile as error:
            raise _damaged(path) from error
        if any(name.endswith('/constants.pkl') for name in names):
            raise RefusedCheckpointError(f'{path}: TorchScript, {not_weights}')
    elif start != _LEGACY_START:
        if tarfile.is_tarfile(path):
            raise RefusedCheckpointError(f'{path}: a tar file, {not_weights}')
        raise UserError(
            f'{path}: not a PyTorch checkpoint; take a file that torch.save '
            'wrote'
        )


def check_exists(path: str, remedy: str | None = None) -> None:
    """Check that a checkpoint is there; of URLs, that is left to the loader.

    Args:
        path (str): a file or a URL.
        remedy (str, optional): how to come by the file.

    Raises:
        UserError: if there is no such file.
    """
    if '://' not in path and not osp.isfile(osp.expanduser(path)):
        remedy = remedy or (
            'trained ones are in work_dirs/NAME_OF_CONFIG, and the config '
            'names those it starts from (load_from, init_cfg)'
        )
        raise UserError(f'{path}: no such checkpoint file; {remedy}')


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
        UserError: if there is no such file, or it is damaged, not local or
            not a checkpoint.
        RefusedCheckpointError: if it needs a function that is not on the
            list.
    """
    path = osp.expanduser(path)
    if '://' in path:
        raise UserError(f'{path}: not a local file; download it first')
    check_exists(path)
    _refuse_other_formats(path)
    try:
        if trust:
            checkpoint = torch.load(path, map_location, weights_only=False)
        elif _HAS_SAFE_GLOBALS:
            checkpoint = _load_weights_only(path, map_location)
        else:
            checkpoint = _load_restricted(path, map_location)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        struct.error,
    ) as error:
        raise _explain(path, error) from error
    if not isinstance(checkpoint, dict):
        raise UserError(
            f'{path}: a {type(checkpoint).__name__}, not a '
            'checkpoint; take a file that holds a state dict'
        )
    return _drop_config_text(checkpoint)


def _explain(path: str, error: Exception) -> Exception:
    """Return what to raise: ``error`` itself unless its cause is known."""
    refused = re.search(r'GLOBAL (\S+\([^)]*\)|\S+)', str(error))
    if isinstance(error, RefusedCallError) or refused:
        call = refused.group(1) if refused else str(error)
        return RefusedCheckpointError(
            f'{path}: refused, because loading it would call {call}, which '
            'weights do not need; if you know and trust its author, ask for '
            'a file that holds tensors only: torch.save(dict(state_dict=...), '
            "'FILE')"
        )
    ends_early = isinstance(error, (EOFError, struct.error))
    return (
        _damaged(path) if ends_early or _DAMAGED.search(str(error)) else error
    )


def _damaged(path: str) -> UserError:
    return UserError(
        f'{path}: damaged (cut off while it was written or copied); take '
        'another file'
    )


def _drop_config_text(checkpoint: dict) -> dict:
    """Remove what mmengine would execute as a config."""
    hub = checkpoint.get('message_hub')
    info = hub.get('runtime_info') if isinstance(hub, dict) else None
    for holder in (checkpoint.get('meta'), info):
        if isinstance(holder, dict):
            holder.pop('config', None)
            holder.pop('cfg', None)
    return checkpoint


# mmengine's log names a loader by what follows `load_from_`.
def load_from_local(filename: str, map_location: MapLocation = None) -> dict:
    """Load a local file, for mmengine's ``CheckpointLoader``."""
    return load_checkpoint(filename, map_location)


def load_from_http(filename: str, map_location: MapLocation = None) -> dict:
    """Load from a URL, for mmengine's ``CheckpointLoader``.

    Raises:
        UserError: if it cannot be downloaded.
    """
    path = osp.join(
        get_dir(), 'checkpoints', osp.basename(urlparse(filename).path)
    )
    # The first process of each machine downloads, the others find the file.
    if int(os.environ.get('LOCAL_RANK', 0)) == 0 and not osp.exists(path):
        try:
            os.makedirs(osp.dirname(path), exist_ok=True)
            download_url_to_file(filename, path)
        except OSError as error:  # URLError, timeouts, a full disk
            raise UserError(
                f'{filename}: cannot be downloaded to {path} ({error}); put '
                'the file there by hand, or start without these weights: '
                '--cfg-options model.backbone.init_cfg=None'
            ) from error
    barrier()
    return load_checkpoint(path, map_location)


ZOOS = ('open-mmlab://', 'openmmlab://', 'mmcls://')
TORCHVISION = ('torchvision://', 'modelzoo://')


def zoo_address(filename: str) -> str:
    """Return the URL, or the path below mmengine's home, of a named model.

    Raises:
        UserError: if mmengine does not know it.
    """
    scheme, name = filename.split('://', 1)
    if scheme in ('torchvision', 'modelzoo'):
        try:
            urls = zoo.get_torchvision_models()
        except ImportError as error:
            raise UserError(
                f'{filename}: names of this kind need the torchvision '
                'package; install it, or give the path of a file'
            ) from error
    elif scheme == 'mmcls':
        urls = zoo.get_mmcls_models()
    else:
        urls = zoo.get_external_models()
        name = zoo.get_deprecated_model_names().get(name, name)
    if name not in urls:
        raise UserError(f'{filename}: mmengine knows no model of that name')
    return urls[name]


def load_from_zoo(filename: str, map_location: MapLocation = None) -> dict:
    """Load a model that mmengine knows by name, such as open-mmlab://NAME.

    mmengine's own loaders would not load it by the one above.
    """
    address = zoo_address(filename)
    if '://' in address:
        return load_from_http(address, map_location)
    home = os.environ.get('MMENGINE_HOME', '~/.cache/mmengine')
    return load_checkpoint(osp.join(home, address), map_location)


for _schemes, _loader in (
    ('', load_from_local),
    (('http://', 'https://'), load_from_http),
    (ZOOS, load_from_zoo),
    (TORCHVISION, load_from_zoo),
):
    CheckpointLoader.register_scheme(_schemes, _loader, force=True)
