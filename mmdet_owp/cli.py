"""What command lines share: common arguments and error reports.

Importing it needs neither torch nor mmengine.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import os.path as osp
import sys
import time
from argparse import (
    Action,
    ArgumentDefaultsHelpFormatter,
    ArgumentParser,
    ArgumentTypeError,
    RawDescriptionHelpFormatter,
)
from collections.abc import Iterator
from pathlib import Path

from mmdet_owp.errors import UserError

# Where a process that torchrun started leaves the error it ends with.
_ERROR_FILE = 'TORCHELASTIC_ERROR_FILE'


class _HelpFormatter(
    RawDescriptionHelpFormatter, ArgumentDefaultsHelpFormatter
):
    """Keep the line breaks of the description; name the defaults."""

    def _get_help_string(self, action: Action) -> str | None:
        text, default = action.help or '', action.default
        is_switch = default is None or isinstance(default, bool)
        if is_switch or default == [] or 'default' in text:
            return text
        if isinstance(default, (list, tuple)):
            return f'{text} (default: {" ".join(map(str, default))})'
        return super()._get_help_string(action)


def parser(description: str | None) -> ArgumentParser:
    """Return an argument parser whose help names the defaults."""
    return ArgumentParser(
        description=description, formatter_class=_HelpFormatter
    )


def add_cfg_options(parser: ArgumentParser, raw: bool = False) -> None:
    """Add ``--cfg-options``, which overrides settings of a config.

    Args:
        parser (ArgumentParser): to add the argument to.
        raw (bool): keep a list of ``KEY=VALUE``, to pass to another command,
            instead of a dictionary of parsed values. Defaults to False.
    """
    if raw:
        kwargs = dict(default=[])
    else:
        from mmengine.config import DictAction

        kwargs = dict(action=DictAction)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override settings of the config, for example '
        'train_dataloader.batch_size=4 or key="[(a,b),(c,d)]" (quoted, '
        'without spaces)',
        **kwargs,
    )


def labelled(text: str) -> tuple[str, list[str]]:
    """Parse ``LABEL=PATH[,PATH...]``, as the ``type`` of an argument.

    Returns:
        tuple[str, list[str]]: the label, which may contain ``=``, and the
        paths.

    Raises:
        ArgumentTypeError: if there is no label or no path.
    """
    label, _, paths = text.rpartition('=')
    if not (label and paths):
        raise ArgumentTypeError(f'{text}: must be LABEL=PATH[,PATH...]')
    return label, paths.split(',')


def positive(text: str) -> int:
    """Parse a positive integer, as the ``type`` of an argument."""
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f'must be a positive integer, not {text!r}')
    return int(text)


def fraction(text: str) -> float:
    """Parse a number from 0 to 1, as the ``type`` of an argument."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:  # false for nan
            return float(text)
    raise ArgumentTypeError(f'must be a number from 0 to 1, not {text!r}')


def picture_path(text: str) -> Path:
    """Parse the path of a picture, as the ``type`` of an argument."""
    if not text.endswith(('.png', '.jpg', '.pdf', '.svg')):
        raise ArgumentTypeError(
            f'{text}: must end in .png, .jpg, .pdf or .svg'
        )
    return Path(text)


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Exit with ``error: TEXT`` and status 1 on a :class:`UserError`.

    This includes one that a worker process of a data loader raised. Other
    exceptions keep their traceback.

    A process that torchrun started does not print the message but passes it
    to torchrun, which prints that of the first process to fail. If a process
    fails because another one has reported an error, it exits silently.
    """
    for stream in (sys.stdout, sys.stderr):
        # Neither terminals nor file names are UTF-8 everywhere.
        if hasattr(stream, 'reconfigure'):
            stream.reconfigure(errors='backslashreplace')
    try:
        yield
    except Exception as error:
        error_file = os.environ.get(_ERROR_FILE)
        if not isinstance(error, UserError):
            if error_file and _is_reported(error_file):
                sys.exit(1)
            raise
        message = f'error: {_message(error)}'
        if not error_file:
            sys.exit(message)
        with open(error_file, 'w', encoding='utf-8') as file:
            json.dump(dict(message=message, timestamp=int(time.time())), file)
        sys.exit(1)


def _message(error: UserError) -> str:
    """Return the text of an error without the traceback of a worker.

    PyTorch raises what a worker raised as the same type, with the formatted
    traceback as its text.
    """
    name = f'\n{type(error).__module__}.{type(error).__qualname__}: '
    return str(error).rpartition(name)[2].rstrip()


def _is_reported(error_file: str) -> bool:
    """Whether a process on this machine has reported a :class:`UserError`.

    torchrun names the error files ``FOLDER/LOCAL_RANK/error.json``.
    """
    folder = osp.dirname(osp.dirname(error_file))
    return bool(glob.glob(osp.join(glob.escape(folder), '*', 'error.json')))
