from __future__ import annotations

import argparse
import json

import pytest
from torch.utils.data import DataLoader

from mmdet_owp import cli
from mmdet_owp.engine.checkpoint import RefusedCheckpointError
from mmdet_owp.errors import UserError


def fail(error):
    with cli.report_errors():
        raise error


def test_user_errors_become_messages(monkeypatch):
    monkeypatch.delenv('TORCHELASTIC_ERROR_FILE', raising=False)
    for error in (UserError('a.json: bad'), RefusedCheckpointError('a.pth')):
        with pytest.raises(SystemExit) as exit_:
            fail(error)
        assert exit_.value.code == f'error: {error}'
    # A bug keeps its traceback.
    for error in (ValueError('bug'), FileNotFoundError('bug')):
        with pytest.raises(type(error), match='^bug$'):
            fail(error)


class BadDataset:
    """Raises in a worker process, caused by another error."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        try:
            int('x')
        except ValueError as error:
            raise UserError('a.png: no image;\nreplace it') from error


def test_message_of_a_worker_is_its_own():
    with pytest.raises(SystemExit) as exit_, cli.report_errors():
        next(iter(DataLoader(BadDataset(), num_workers=1)))
    assert exit_.value.code == 'error: a.png: no image;\nreplace it'


def test_under_torchrun_the_message_goes_to_its_file(tmp_path, monkeypatch):
    files = [tmp_path / f'{rank}/error.json' for rank in range(2)]
    for file in files:
        file.parent.mkdir()
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(files[1]))
    # Nobody has reported an error: this one is a bug.
    with pytest.raises(RuntimeError):
        fail(RuntimeError('connection closed by peer'))
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(files[0]))
    with pytest.raises(SystemExit) as exit_:
        fail(UserError('bad'))
    assert exit_.value.code == 1
    assert json.loads(files[0].read_text())['message'] == 'error: bad'
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(files[1]))
    with pytest.raises(SystemExit) as exit_:
        fail(RuntimeError('connection closed by peer'))
    assert exit_.value.code == 1


def test_cfg_options():
    words = ['--cfg-options', 'a.b=2', 'c=[1,2]']
    parser = cli.parser('Some text')
    cli.add_cfg_options(parser)
    parsed = parser.parse_args(words).cfg_options
    assert parsed == {'a.b': 2, 'c': [1, 2]}
    assert parser.parse_args([]).cfg_options is None
    parser = cli.parser('Some text')
    cli.add_cfg_options(parser, raw=True)
    assert parser.parse_args(words).cfg_options == words[1:]
    assert parser.parse_args([]).cfg_options == []


def test_help_names_the_defaults():
    parser = cli.parser('Two\nlines')
    parser.add_argument('--k', nargs='+', default=[10, 100], help='numbers')
    parser.add_argument('--size', default=0, help='pixels')
    parser.add_argument('--not', action='store_false', help='switch')
    parser.add_argument('--seed', default=1, help='default: random')
    parser.add_argument('--out', help='file')
    text = parser.format_help()
    assert '\n\nTwo\nlines\n\n' in text
    for line in (
        'numbers (default: 10 100)',
        'pixels (default: 0)',
        'switch',
        'default: random',
        'file',
    ):
        assert f'  {line}\n' in text


def test_labels():
    assert cli.labelled('IoU=0.5=a,b') == ('IoU=0.5', ['a', 'b'])
    for text in ('a', '=a', 'a='):
        with pytest.raises(argparse.ArgumentTypeError, match='LABEL=PATH'):
            cli.labelled(text)


@pytest.mark.parametrize('text', ['nan', '-0.1', '1.5', 'inf', 'x', ''])
def test_fractions_and_counts_are_checked(text):
    for kind in (cli.fraction, cli.positive):
        with pytest.raises(argparse.ArgumentTypeError, match='must be a'):
            kind(text)
    assert cli.fraction('0.5') == 0.5
    assert cli.positive('3') == 3
    with pytest.raises(argparse.ArgumentTypeError, match='a.gif: must end in'):
        cli.picture_path('a.gif')
    assert cli.picture_path('a/b.svg').suffix == '.svg'
