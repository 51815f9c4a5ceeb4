"""Timing what is to be compared, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def synchronize(device: str) -> None:
    """Wait for a device.

    Args:
        device (str): ``'cpu'`` or one of CUDA.
    """
    if device != 'cpu':
        torch.cuda.synchronize()


def take_turns(
    parts: dict[str, Callable[[], Callable]],
    repeat: int,
    device: str = 'cpu',
    limit: float = 60,
) -> dict[str, list[float]]:
    """Time what is to be compared in turns, of which the first doesn't count.

    What slows a machine for a while so hits all of them.

    Args:
        parts (dict[str, Callable]): by name; each prepares a turn and returns
            what is timed.
        repeat (int): turns that count, at most.
        device (str): what they run on, which is waited for.
        limit (float): seconds after which no turn begins, but for the first
            that counts.

    Returns:
        dict[str, list[float]]: seconds a turn, by name, alike many for each.
    """
    times = {name: [] for name in parts}
    begin = time.perf_counter()
    for turn in range(repeat + 1):
        if turn > 1 and time.perf_counter() - begin > limit:
            break
        # In a fixed order each would always follow the same one.
        for name in sorted(parts, reverse=bool(turn % 2)):
            function = parts[name]()
            synchronize(device)
            start = time.perf_counter()
            function()
            synchronize(device)
            if turn:
                times[name].append(time.perf_counter() - start)
    return times
