"""Timing functions in turns."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def synchronize(device: str) -> None:
    """Wait for a CUDA device; do nothing on ``'cpu'``."""
    if device != 'cpu':
        torch.cuda.synchronize()


def take_turns(
    parts: dict[str, Callable[[], Callable]],
    repeat: int,
    device: str = 'cpu',
    limit: float = 60,
) -> dict[str, list[float]]:
    """Time functions in turns, so that a slow phase of the machine hits all.

    The first turn warms up and does not count.

    Args:
        parts (dict[str, Callable]): by name; each prepares a turn and returns
            the function to time.
        repeat (int): maximum number of turns that count.
        device (str): device to wait for.
        limit (float): seconds after which no further turn begins, except the
            first that counts.

    Returns:
        dict[str, list[float]]: seconds per turn, equally many for each name.
    """
    times = {name: [] for name in parts}
    begin = time.perf_counter()
    for turn in range(repeat + 1):
        if turn > 1 and time.perf_counter() - begin > limit:
            break
        # Alternate the order, so that no part always follows the same one.
        for name in sorted(parts, reverse=bool(turn % 2)):
            function = parts[name]()
            synchronize(device)
            start = time.perf_counter()
            function()
            synchronize(device)
            if turn:
                times[name].append(time.perf_counter() - start)
    return times
