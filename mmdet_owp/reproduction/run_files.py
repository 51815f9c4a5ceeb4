"""Results of a run as a small file that any machine can read.

It holds neither paths nor names of hosts: settings, names of pretrained
weights that are not the config's, metrics and hits per image of each test,
seconds, commit and kind of machine.
"""

from __future__ import annotations

import json
import os
import os.path as osp
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_owp.cores import num_cores
from mmdet_owp.errors import UserError, writing
from mmdet_owp.recall import paired_interval
from mmdet_owp.tables import finite

# Keys of settings that name files of this machine.
_PLACES = ('data_root', 'checkpoint')


def portable(settings: Any) -> Any:
    """Return settings without the paths of a machine."""
    if isinstance(settings, dict):
        items = settings.items()
        return {k: portable(v) for k, v in items if k not in _PLACES}
    if isinstance(settings, list):
        return [portable(value) for value in settings]
    if isinstance(settings, str) and osp.isabs(settings):
        return osp.basename(settings)
    return settings


def read_run_file(path: Path) -> dict | None:
    """Read the file of a run; return None if there is none.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UserError(
            f'{path}: not the results of a run ({error}); remove it to run '
            'the training again'
        ) from error


def write_run_file(path: Path, content: dict) -> None:
    """Write the file of a run, one line per entry and test."""
    tests = _lines(content['tests'], '  ')
    entries = {k: v for k, v in content.items() if k != 'tests'}
    text = f'{{\n{_lines(entries)},\n"tests": {{\n{tests}\n}}\n}}\n'
    temporary = path.with_suffix('.tmp')
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding='utf-8')
        os.replace(temporary, path)


def _lines(entries: dict, indent: str = '') -> str:
    """Return the entries of a JSON object, one per line."""
    return ',\n'.join(
        f'{indent}"{key}": '
        + json.dumps(finite(value), allow_nan=False, separators=(',', ':'))
        for key, value in entries.items()
    )


def interval(
    first: Sequence[dict], second: Sequence[dict], k: int
) -> tuple[float, float, float] | None:
    """Compare AR@k of two rows over the same images; paired bootstrap.

    Args:
        first (Sequence[dict]): hits of one split, of each seed of a row:
            ``objects`` per image, and per k the hits summed over the ten IoU
            thresholds.
        second (Sequence[dict]): those of the other row.
        k (int): proposals per image.

    Returns:
        tuple, optional: the difference of the means over seeds, and the ends
        of its 95% interval over images; None if a row has no hits, or they
        are of other images.
    """
    sides = [[np.array(hits.get(str(k), ())) for hits in x]
             for x in (first, second)]  # fmt: skip
    objects = [hits['objects'] for hits in (*first, *second)]
    if not all(sides) or any(other != objects[0] for other in objects):
        return None
    mean_first, mean_second = (np.mean(x, axis=0) / 10 for x in sides)
    number = np.array(objects[0])
    low, high = paired_interval(mean_first, mean_second, number)
    difference = (mean_second - mean_first).sum() / number.sum()
    return float(difference), low, high


def machine(gpus: int = 0) -> str:
    """Return the kind of this machine, such as its processor."""
    if gpus:
        import torch

        return f'{gpus} x {torch.cuda.get_device_name()}'
    try:
        text = Path('/proc/cpuinfo').read_text(encoding='utf-8')
    except OSError:
        text = ''
    found = re.search(r'^model name\s*: *(\S+ \S+)', text, re.MULTILINE)
    family = f' ({found[1]})' if found else ''
    cores = num_cores()
    name = 'CPU core' if cores == 1 else 'CPU cores'
    return f'{cores} {name}, {platform.machine()}{family}'


def commit(root: Path) -> str:
    """Return the commit of the repository; empty outside of git."""
    words = ['git', '-C', str(root), 'rev-parse', '--short', 'HEAD']
    try:
        return subprocess.run(
            words, check=True, capture_output=True, text=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ''
