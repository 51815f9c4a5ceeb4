"""The cores of this machine that the process may use."""

from __future__ import annotations

import os


def num_cores() -> int:
    """Count the cores that the process may run on, at least 1.

    A scheduler, such as Slurm's, or ``taskset`` may leave it some of them.
    """
    if hasattr(os, 'sched_getaffinity'):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
