"""A pickle reader that calls only functions on a list.

Standard library only: proposal files and, on PyTorch before 2.6, checkpoints
are read by it.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any


class RefusedCallError(pickle.UnpicklingError):
    """A pickle needs a function that is not on the list."""


# The pure-Python class: the C one does not let subclasses see its opcodes.
class RestrictedUnpickler(pickle._Unpickler):
    """Unpickler that finds only what ``allowed`` names.

    Attributes:
        allowed (dict[tuple[str, str], Any]): (module, name) as pickled -> what
            stands for it; nothing is imported.
    """

    allowed: Mapping[tuple[str, str], Any] = {}
    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        """Look up a global.

        Args:
            module (str): as pickled; protocol 2 writes ``__builtin__``.
            name (str): as pickled.

        Raises:
            RefusedCallError: if it is not allowed.
        """
        module = 'builtins' if module == '__builtin__' else module
        try:
            return self.allowed[module, name]
        except KeyError:
            raise RefusedCallError(f'{module}.{name}') from None

    def load_build(self) -> None:
        """Set the state of an instance, never of a class or a function."""
        target = self.stack[-2]
        if callable(target):
            name = getattr(target, '__qualname__', type(target).__qualname__)
            raise RefusedCallError(f'__setstate__ of {name}')
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def pickle_module(allowed: Mapping[tuple[str, str], Any]) -> SimpleNamespace:
    """Return what readers that take a ``pickle_module`` use of it.

    Args:
        allowed (dict[tuple[str, str], Any]): see :class:`RestrictedUnpickler`.
    """
    unpickler = type(
        'Unpickler', (RestrictedUnpickler,), dict(allowed=allowed)
    )

    def load(file: io.IOBase, **kwargs: Any) -> Any:
        return unpickler(file, **kwargs).load()

    return SimpleNamespace(
        Unpickler=unpickler,
        UnpicklingError=pickle.UnpicklingError,
        load=load,
        __name__='restricted pickle',
    )
