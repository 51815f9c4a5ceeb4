"""Rows of tables and lines of plots as command lines give them."""

from __future__ import annotations

from argparse import ArgumentTypeError


def labelled(text: str) -> tuple[str, list[str]]:
    """Take LABEL=PATH[,PATH...] apart, as the ``type`` of an argument.

    Returns:
        tuple[str, list[str]]: the label, which may have ``=`` in it, and the
        paths.

    Raises:
        ArgumentTypeError: if there is no label or no path.
    """
    label, _, paths = text.rpartition('=')
    if not (label and paths):
        raise ArgumentTypeError(f'{text}: must be LABEL=PATH[,PATH...]')
    return label, paths.split(',')
