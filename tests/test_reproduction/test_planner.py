"""What a planned run costs."""

from __future__ import annotations

import json

import pytest

from mmdet_owp.reproduction.planner import Planner


@pytest.mark.parametrize(
    'gpus, flags, seconds',
    [
        (0, (), 8.0),
        (0, ('--amp',), 4.0),
        (1, ('--amp',), 1.0),
        (0, ('--amp', '--channels-last'), None),
    ],
)
def test_time_is_that_of_equal_runs(
    repo, tmp_path, write_log, gpus, flags, seconds
):
    """On as many GPUs, with the same flags; earlier files have no flags."""
    for name, before, config, time in (
        ('a', 1, dict(flags=['--amp']), 1.0),
        ('b', 0, dict(flags=['--amp']), 4.0),
        ('c', 0, dict(), 8.0),
    ):
        folder = write_log(
            tmp_path / f'{name}_shapes_seed0', dict(step=1, loss=1, time=time)
        )
        settings = json.dumps(dict(gpus=before, config=config))
        (folder / 'settings.json').write_text(settings)
    planner = Planner(
        'table1', 'shapes', repo, tmp_path, gpus=gpus, flags=flags
    )
    assert planner._step_time()[0] == seconds
