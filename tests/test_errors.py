"""Outputs are checked before the work."""

from __future__ import annotations

import os

import pytest

from mmdet_owp.errors import UserError, check_writable


def test_writable(tmp_path):
    (tmp_path / 'file').write_text('mine')
    for name in ('file', 'new', 'new/sub/file'):
        check_writable(tmp_path / name)
    for name in ('.', 'new', 'new/sub'):
        check_writable(str(tmp_path / name), folder=True)
    assert [p.name for p in tmp_path.iterdir()] == ['file']


def test_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_writable('new.txt')
    check_writable('new', folder=True)


@pytest.mark.parametrize('name, folder, why', [
    ('.', False, 'it is a folder; name a file'),
    ('file', True, '.*/file is a file, not a folder; give another'),
    ('file/sub', True, '.*/file is a file, not a folder; give another'),
    ('file/sub/out.json', False, '.*/file is a file, not a folder; give'),
])  # fmt: skip
def test_of_the_other_kind(tmp_path, name, folder, why):
    (tmp_path / 'file').write_text('mine')
    path = tmp_path / name
    with pytest.raises(UserError, match=f'^cannot write {path}: {why}'):
        check_writable(path, folder)


def test_no_permission(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    with pytest.raises(
        UserError, match=f'no permission to write .*{tmp_path}'
    ):
        check_writable(tmp_path / 'out', folder=True)
