"""The one exception whose text is meant for the user."""

from __future__ import annotations

import contextlib
import os
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
