"""Running numpy on several cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar('_T')


def in_threads(function: Callable[..., _T], *tasks: Sequence) -> list[_T]:
    """Map a function over tasks in threads; numpy releases the GIL."""
    if len(tasks[0]) < 2:
        return list(map(function, *tasks))
    threads = (
        len(os.sched_getaffinity(0))
        if hasattr(os, 'sched_getaffinity')
        else os.cpu_count()
    )
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, *tasks))
