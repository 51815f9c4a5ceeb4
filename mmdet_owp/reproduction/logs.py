"""Reading what trainings and tests have logged, without torch and mmdet.

mmengine writes each run into a subfolder of the work folder that is named
after the time: a training, each time it is resumed, and each test.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from mmdet_owp.errors import UserError


def read_scalars(folder: str | Path) -> list[dict]:
    """Read all scalars that trainings in a work folder logged, in order.

    Args:
        folder (str | Path): the work folder of tools/train.py.

    Returns:
        list[dict]: one per logging interval and one per validation. What was
        logged between a checkpoint and a kill is repeated by the resumed run,
        with the same ``step``.

    Raises:
        UserError: if there is no such log.
    """
    files = sorted(Path(folder).glob('[0-9]*/vis_data/scalars.json'))
    if not files:
        raise UserError(
            f'{folder}: no training log here (*/vis_data/scalars.json); give '
            'the work folder of a tools/train.py run'
        )
    scalars = []
    for file in files:
        for line in file.read_text(encoding='utf-8').splitlines():
            try:
                scalars.append(_parse(line))
            except ValueError:  # truncated by a kill
                continue
    return scalars


def read_curves(folder: str | Path) -> dict[str, dict[int, float]]:
    """Read all logged values of a training by iteration.

    Returns:
        dict[str, dict[int, float]]: name -> iteration -> value, in ascending
        order. A validation belongs to the last iteration that was logged
        before it. Values logged again after a resume replace earlier ones.

    Raises:
        UserError: as :func:`read_scalars`.
    """
    curves, iteration = {}, 0
    for line in read_scalars(folder):
        iteration = line.get('iter', iteration)
        for name, value in line.items():
            curves.setdefault(name, {})[iteration] = value
    return {name: dict(sorted(c.items())) for name, c in curves.items()}


def read_masking(folder: str | Path) -> tuple[float, float]:
    """Read what ``UnknownMaskFocalLoss`` logged in a training.

    Returns:
        tuple[float, float]: masked share of the background locations of the
        whole training, and the highest objectness on background.

    Raises:
        UserError: if there is no log of masking.
    """
    # Steps logged again after a resume replace earlier ones.
    logged = {
        line['step']: line
        for line in read_scalars(folder)
        if 'masked_background' in line
    }
    if not logged:
        raise UserError(
            f'{folder}: no masked_background in its log; '
            'the config must use UnknownMaskFocalLoss'
        )
    shares, highest = (
        [line[name] for line in logged.values()]
        for name in ('masked_background', 'background_objectness_max')
    )
    return sum(shares) / len(shares), max(highest)


def read_metrics(folder: str | Path) -> dict[str, float]:
    """Read the metrics of the newest test in a work folder.

    Raises:
        UserError: if there was no test, or its file is damaged.
    """
    files = sorted(Path(folder).glob('[0-9]*/[0-9]*.json'))
    if not files:
        raise UserError(
            f'{folder}: no metrics here; run tools/test.py with '
            f'--work-dir {folder}'
        )
    try:
        return _parse(files[-1].read_text(encoding='utf-8'))
    except ValueError as error:
        raise UserError(
            f'{files[-1]}: not a file of metrics ({error}); remove it and run '
            'tools/test.py again'
        ) from error


def _parse(text: str) -> dict:
    """Parse JSON in which null stands for nan."""
    return {
        name: math.nan if value is None else value
        for name, value in json.loads(text).items()
    }
