"""The console command: what it offers, runs, and says when parts lack."""

from __future__ import annotations

import configparser
import importlib
import json
import sys
from pathlib import Path

import pytest

import mmdet_owp
from mmdet_owp import __main__ as console
from mmdet_owp.commands import eval as eval_command


@pytest.fixture(autouse=True)
def argv(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['mmdet-owp'])


def said(capsys, *words) -> tuple[int | str | None, str]:
    """Return what the command exits with, and prints."""
    status = None
    try:
        console.main([*map(str, words)])
    except SystemExit as exit_:
        status = exit_.code
    return status, capsys.readouterr().out


def test_entry_point_is_the_module(repo):
    config = configparser.ConfigParser()
    config.read(repo / 'setup.cfg')
    (line,) = config['options.entry_points']['console_scripts'].split('\n')[1:]
    name, target = line.split(' = ')
    module, function = target.split(':')
    assert name == 'mmdet-owp'
    assert getattr(importlib.import_module(module), function) is console.main


def test_commands_are_modules(repo):
    """All that have `main`; drawing.py and __init__.py are no commands."""
    files = (repo / 'mmdet_owp/commands').glob('*.py')
    have_main = {f.stem for f in files if '\ndef main(' in f.read_text()}
    assert have_main == set(console.COMMANDS)


def test_help_and_version(capsys):
    status, text = said(capsys, '--version')
    assert (status, text) == (0, f'mmdet-owp {mmdet_owp.__version__}\n')
    status, text = said(capsys, '--help')
    assert status == 0
    for name, what in console.COMMANDS.items():
        assert name in text and what in text
    status, text = said(capsys, 'eval', '--help')
    assert status == 0 and text.startswith('usage: mmdet-owp eval ')
    assert said(capsys, 'fly')[0] == 2


def test_eval_is_that_of_the_tool(tmp_path, capsys):
    annotation = dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 9, 9])
    ann, found = tmp_path / 'ann.json', tmp_path / 'found.json'
    ann.write_text(
        json.dumps(
            dict(
                images=[dict(id=1, file_name='1.jpg', width=20, height=20)],
                annotations=[annotation],
                categories=[dict(id=1, name='cat')],
            )
        )
    )
    found.write_text(json.dumps([dict(annotation, score=1.0)]))
    eval_command.main([str(ann), str(found)])
    expected = capsys.readouterr().out
    assert 'AR@' in expected
    assert said(capsys, 'eval', ann, found) == (None, expected)
    status, _ = said(capsys, 'eval', ann, tmp_path / 'none.json')
    assert status.startswith('error: ') and 'none.json' in status


@pytest.mark.parametrize(
    'command, package, remedy',
    [
        ('propose', 'torch', 'tools/install.sh'),
        ('draw', 'mmdet', 'tools/install.sh'),
        ('check', 'cv2', 'pip install opencv-python-headless'),
        ('report', 'jinja2', 'pip install "mmdet_owp[report]"'),
    ],
)
def test_missing_packages_are_named(
    command, package, remedy, monkeypatch, capsys
):
    def load(name):
        assert name == f'mmdet_owp.commands.{command}'
        monkeypatch.setitem(sys.modules, package, None)
        __import__(f'{package}.part')

    monkeypatch.setattr(importlib, 'import_module', load)
    status, _ = said(capsys, command)
    assert status == (
        f'error: mmdet-owp {command} needs {package}, which is not installed: '
        f'{status.partition("installed: ")[2]}'
    )
    assert remedy in status


def test_faults_of_ours_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(
        importlib, 'import_module', lambda _: __import__('mmdet_owp.gone')
    )
    with pytest.raises(ModuleNotFoundError):
        console.main(['eval'])


def test_remedies_are_extras(repo):
    """What `[report]` installs are the modules that send users to it."""
    config = configparser.ConfigParser()
    config.read(repo / 'setup.cfg')
    extra = set(config['options.extras_require']['report'].split())
    sent = {m for m, r in console._REMEDIES.items() if '[report]' in r}
    assert sent == extra
    assert Path(console.__file__).name == '__main__.py'
