"""Timing what is to be compared, in turns."""
from __future__ import annotations

import time
from collections.abc import Callable

import torch


def take_turns(functions: dict[str, Callable],
               repeat: int,
               device: str = 'cpu',
               limit: float = 60) -> dict[str, list[float]]:
    """Time functions in turns, of which the first does not count.

    What slows a machine for a while so hits all of them.

    Args:
        functions (dict[str, Callable]): by name; called without arguments.
        repeat (int): turns that count, at most.
        device (str): what they run on, which is waited for.
        limit (float): seconds after which no turn begins, but for the first
            that counts.

    Returns:
        dict[str, list[float]]: seconds a call, by name.
    """

    def synchronize() -> None:
        if device != 'cpu':
            torch.cuda.synchronize()

    times = {name: [] for name in functions}
    for turn in range(repeat + 1):
        if sum(map(sum, times.values())) > limit:
            break
        for name, function in functions.items():
            synchronize()
            start = time.perf_counter()
            function()
            synchronize()
            if turn:
                times[name].append(time.perf_counter() - start)
    return times
