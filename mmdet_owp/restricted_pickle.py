"""A pickle reader that calls only functions on a list.

It reads proposal files and, on PyTorch before 2.6, checkpoints.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np


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


def numpy_globals() -> dict[tuple[str, str], Any]:
    """Return what arrays need, by (module, name) as pickled.

    NumPy 2 renamed ``numpy.core`` to ``numpy._core``; each version reads the
    pickles of the other. NumPy 1.26 has a ``_core`` without functions, so
    they are taken from where NumPy itself pickles them.
    """
    found: dict[tuple[str, str], Any] = {
        ('numpy', 'dtype'): np.dtype,
        ('numpy', 'ndarray'): np.ndarray,
    }
    for core in ('core', '_core'):
        module = f'numpy.{core}.multiarray'
        found[module, '_reconstruct'] = np.empty(0).__reduce__()[0]
        found[module, 'scalar'] = np.float64(0).__reduce__()[0]
    return found
