"""Which checkpoint a training resumes from."""

from __future__ import annotations

import re
import shutil

import pytest
import torch

from mmdet_owp.engine.resume import latest_checkpoint
from mmdet_owp.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """A work folder as a training of three epochs leaves it."""
    folder = tmp_path / 'run'
    folder.mkdir()
    for name in ('epoch_9', 'epoch_10', 'epoch_11', 'best_AR_epoch_12'):
        torch.save(dict(name=name), folder / f'{name}.pth')
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_11.pth'))
    return folder


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def test_unmoved(folder, capsys):
    assert latest_checkpoint(str(folder)) == str(folder / 'epoch_11.pth')
    assert capsys.readouterr().out == ''


def test_renamed_and_copied(folder, tmp_path):
    copy = tmp_path / 'copy'
    shutil.copytree(folder, copy)  # the original is still there
    assert latest_checkpoint(str(copy)) == str(copy / 'epoch_11.pth')
    folder.rename(tmp_path / 'renamed')
    expected = str(tmp_path / 'renamed/epoch_11.pth')
    assert latest_checkpoint(str(tmp_path / 'renamed')) == expected
    (copy / 'last_checkpoint').write_text('C:\\runs\\run\\epoch_9.pth\n')
    assert latest_checkpoint(str(copy)) == str(copy / 'epoch_9.pth')


@pytest.mark.parametrize('change, says, number', [
    (lambda f: (f / 'last_checkpoint').write_text(''), 'is empty', 11),
    (lambda f: (f / 'last_checkpoint').write_text('\n'), 'is empty', 11),
    (lambda f: (f / 'last_checkpoint').unlink(), 'is missing', 11),
    (lambda f: cut(f / 'epoch_11.pth'), 'names .* not complete', 10),
    (lambda f: (f / 'epoch_11.pth').unlink(), 'names .* not complete', 10),
])  # fmt: skip
def test_newest_complete(folder, capsys, change, says, number):
    """By number, not by name, and never the one of the best metric."""
    change(folder)
    newest = latest_checkpoint(str(folder))
    assert newest == str(folder / f'epoch_{number}.pth')
    assert torch.load(newest)['name'] == f'epoch_{number}'
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        f'{folder}/last_checkpoint {says}: resuming from {newest}', line
    )


def test_checkpoints_written_elsewhere(folder, tmp_path, capsys):
    logs = tmp_path / 'logs'
    logs.mkdir()
    shutil.copy(folder / 'last_checkpoint', logs)
    assert latest_checkpoint(str(logs)) == str(folder / 'epoch_11.pth')
    assert capsys.readouterr().out == ''


def test_nothing_to_resume(tmp_path):
    assert latest_checkpoint(str(tmp_path / 'none')) is None
    assert latest_checkpoint(str(tmp_path)) is None
    # Killed while the first checkpoint was written.
    (tmp_path / 'epoch_1.pth').write_bytes(b'PK\x03\x04')
    (tmp_path / 'last_checkpoint').write_text('')
    assert latest_checkpoint(str(tmp_path)) is None
    (tmp_path / 'last_checkpoint').write_text('/gone/epoch_1.pth')
    with pytest.raises(UserError, match='names /gone/epoch_1.pth, but'):
        latest_checkpoint(str(tmp_path))
