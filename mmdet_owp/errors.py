"""The one exception whose text is meant for the user."""

from __future__ import annotations

import contextlib
import os
import os.path as osp
from collections.abc import Iterator


class UserError(ValueError):
    """Input that this package refuses.

    The message says what is wrong, where (file, record, key) and what to do.
    Command lines print it and exit with status 1, without a traceback; see
    :func:`mmdet_owp.cli.report_errors`.
    """


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[None]:
    """Raise a :class:`UserError` where ``path`` cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror}') from error


def check_writable(
    path: str | os.PathLike | None, folder: bool = False
) -> None:
    """Check before long work that its output can be written; write nothing.

    Args:
        path (str | PathLike, optional): of a file or a folder, which need
            not exist yet. None, if nothing is written, is no error.
        folder (bool): whether it is a folder.

    Raises:
        UserError: if it is of the other kind, a file is where a folder should
            be, or there is no permission.
    """
    if path is None:
        return
    existing = osp.abspath(path)
    if not folder and osp.isdir(existing):
        raise UserError(f'cannot write {path}: it is a folder; name a file')
    while not osp.lexists(existing):
        existing = osp.dirname(existing)
    is_file = existing == osp.abspath(path) and not folder
    if not is_file and not osp.isdir(existing):
        raise UserError(
            f'cannot write {path}: {existing} is a file, not a folder; give '
            'another path'
        )
    if not os.access(existing, os.W_OK):
        raise UserError(
            f'cannot write {path}: no permission to write to {existing}'
        )
