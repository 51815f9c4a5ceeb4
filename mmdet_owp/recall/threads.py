"""Running numpy on several cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mmdet_owp.cores import num_cores

_T = TypeVar('_T')


def in_threads(function: Callable[..., _T], *tasks: Sequence) -> list[_T]:
    """Map a function over tasks in threads; numpy releases the GIL."""
    if len(tasks[0]) < 2:
        return list(map(function, *tasks))
    with ThreadPoolExecutor(num_cores()) as pool:
        return list(pool.map(function, *tasks))
