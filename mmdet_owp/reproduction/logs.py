"""Reading what runs have logged: no torch, no mmdet."""

from __future__ import annotations

import json
from pathlib import Path


def read_scalars(folder: str | Path) -> list[dict]:
    """Read the scalars that the training runs in a work folder logged.

    Args:
        folder (str | Path): the work folder of tools/train.py, with one
            folder a run: the first, and one each time it was resumed.

    Returns:
        list[dict]: in the order they were logged, one each logging interval
        and one each validation. What was logged between a checkpoint and a
        kill comes again from the resumed run, with the same ``step``.

    Raises:
        FileNotFoundError: in one line, if there is no such log.
    """
    # Folders are named by the time of their run.
    files = sorted(Path(folder).glob('[0-9]*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(
            f'{folder}: no training log here (*/vis_data/scalars.json); give '
            'the work folder of a tools/train.py run'
        )
    scalars = []
    for file in files:
        for line in file.read_text().splitlines():
            try:
                scalars.append(json.loads(line))
            except ValueError:  # cut off by a kill
                continue
    return scalars


def read_curves(folder: str | Path) -> dict[str, dict[int, float]]:
    """Read how all logged values went over a training.

    Args:
        folder (str | Path): the work folder.

    Returns:
        dict[str, dict[int, float]]: by name the values by iteration, in
        ascending order. A validation stands at the last iteration that was
        logged before it. Of what was logged again after a resume the last
        counts.

    Raises:
        FileNotFoundError: in one line, if there is no such log.
    """
    curves, iteration = {}, 0
    for line in read_scalars(folder):
        iteration = line.get('iter', iteration)
        for name, value in line.items():
            curves.setdefault(name, {})[iteration] = value
    return {
        name: dict(sorted(curve.items())) for name, curve in curves.items()
    }


def read_masking(folder: str | Path) -> tuple[float, float]:
    """Read what ``UnknownMaskFocalLoss`` logged in a training.

    Args:
        folder (str | Path): the work folder.

    Returns:
        tuple[float, float]: share of the background locations of the whole
        training that was masked, and the highest objectness on background.

    Raises:
        FileNotFoundError: in one line, if there is no log of masking.
    """
    # Of steps logged again after a resume the last counts.
    logged = {
        line['step']: line
        for line in read_scalars(folder)
        if 'masked_background' in line
    }
    if not logged:
        raise FileNotFoundError(
            f'{folder}: no masked_background in its log; '
            'the config must use UnknownMaskFocalLoss'
        )
    shares = [line['masked_background'] for line in logged.values()]
    seen = max(line['background_objectness_max'] for line in logged.values())
    return sum(shares) / len(shares), seen


def read_metrics(folder: Path) -> dict[str, float]:
    """Read what the newest tools/test.py run in a work folder wrote.

    Args:
        folder (Path): the work folder.

    Raises:
        FileNotFoundError: if there was no such run.
    """
    # Folders are named by the time of their run.
    files = sorted(folder.glob('[0-9]*/[0-9]*.json'))
    if not files:
        raise FileNotFoundError(
            f'{folder}: no metrics here; run tools/test.py with '
            f'--work-dir {folder}'
        )
    return json.loads(files[-1].read_text())
