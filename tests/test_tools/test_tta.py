"""Tests on several views: our tool, mmdet's, and two processes."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import mmdet
import numpy as np
import pytest


@pytest.fixture(scope='module')
def config(tiny_config):
    return tiny_config()


@pytest.fixture(scope='module')
def checkpoint(config, untrained):
    return untrained(config)


@pytest.fixture
def tested(call_tool, config, checkpoint, shapes_dir, monkeypatch, tmp_path):
    """Test with a tool, return its metrics."""
    monkeypatch.setenv('SHAPES', str(shapes_dir))

    def test(tool, *words):
        work_dir = tmp_path / Path(tool).parent.parent.name
        status = call_tool(
            tool, config, checkpoint, '--work-dir', work_dir, *words
        )
        assert status is None, status
        (path,) = work_dir.glob('*/*.json')
        return json.loads(path.read_text())

    return test


@pytest.mark.slow
def test_tools_agree(
    tested, repo, run, config, checkpoint, shapes_dir, tmp_path
):
    """Ours, mmdet's own, and ours in two processes."""
    out = tmp_path / 'out.pkl'
    ours = tested(repo / 'tools/test.py', '--tta', '--out', out)
    mmdets = Path(mmdet.__file__).parent / '.mim/tools/test.py'
    theirs = tested(mmdets, '--tta')
    # Without objects of a size, recall is null.
    names = [n for n in ours if '/' in n and ours[n] is not None]
    assert names and ours['base_drop-base/AR@100'] > 0
    assert {n: theirs[n] for n in names} == {n: ours[n] for n in names}
    with open(out, 'rb') as file:
        (sample, *others) = pickle.load(file)
    assert (
        len(others) == 3 and 100 < len(sample['proposals']['scores']) <= 1500
    )
    status, output = run(
        f'bash tools/dist_test.sh {config} {checkpoint} 2 --tta',
        f'--work-dir={tmp_path}/two',
    )
    assert status == 0, output
    (path,) = (tmp_path / 'two').glob('*/*.json')
    two = json.loads(path.read_text())
    np.testing.assert_allclose(
        [two[n] for n in names], [ours[n] for n in names], atol=1e-6
    )


def test_config_without_views(
    call_tool, repo, shapes_dir, monkeypatch, config, checkpoint, tmp_path
):
    monkeypatch.setenv('SHAPES', str(shapes_dir))
    path = tmp_path / 'none.py'
    path.write_text(f"_base_ = '{config}'\ntta_pipeline = None\n")
    message = call_tool(
        *(repo / 'tools/test.py', path, checkpoint, '--tta'),
        *('--work-dir', tmp_path),
    )
    assert message.startswith(f'error: {path}: --tta needs tta_pipeline')
