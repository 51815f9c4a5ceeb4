"""What a wheel carries, and what it asks for."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import mmdet_owp


@pytest.fixture(scope='module')
def wheel(repo, tmp_path_factory):
    """Built from a copy, so that nothing is left in the repository."""
    out = tmp_path_factory.mktemp('wheel')
    source = out / 'source'
    source.mkdir()
    ignore = shutil.ignore_patterns('__pycache__')
    for path in ('mmdet_owp', 'configs', 'tools'):
        shutil.copytree(
            repo / path, source / path, symlinks=True, ignore=ignore
        )
    for path in (
        'setup.cfg',
        'pyproject.toml',
        'MANIFEST.in',
        'LICENSE',
        'model-index.yml',
        'requirements.txt',
        'README.md',
    ):
        shutil.copy(repo / path, source)
    subprocess.run(
        [
            sys.executable,
            '-m',
            'pip',
            'wheel',
            '--no-deps',
            '--no-build-isolation',
            '--wheel-dir',
            out,
            source,
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    (path,) = out.glob('*.whl')
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_carries_configs_and_tools(repo, wheel):
    """Where mim looks: mmdet_owp/.mim."""
    names = set(wheel.namelist())
    for pattern in (
        'configs/**/*.py',
        'configs/*/metafile.yml',
        'tools/**/*.py',
        'tools/*.sh',
        'model-index.yml',
    ):
        files = [path.relative_to(repo) for path in repo.glob(pattern)]
        assert files
        for path in files:
            name = (Path('mmdet_owp/.mim') / path).as_posix()
            assert wheel.read(name) == (repo / path).read_bytes()
            names.remove(name)
    assert not [name for name in names if '.mim' in name]
    modules = {
        path.relative_to(repo).as_posix()
        for path in (repo / 'mmdet_owp').rglob('*.py')
        if '.mim' not in str(path.relative_to(repo))
    }
    assert modules <= names


def test_wheel_asks_for_neither_family_of_openmmlab(wheel):
    (name,) = (
        n for n in wheel.namelist() if n.endswith('.dist-info/METADATA')
    )
    metadata = message_from_bytes(wheel.read(name))
    assert metadata['Version'] == mmdet_owp.__version__
    needs = ' '.join(metadata.get_all('Requires-Dist'))
    assert 'torch' in needs and 'pycocotools' in needs
    assert 'mm' not in needs and 'onedl' not in needs
