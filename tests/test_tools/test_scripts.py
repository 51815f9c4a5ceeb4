"""The shell scripts, with programs of a test's own in place of the real."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

SCRIPTS = (
    'install',
    'quickstart',
    'run_tests',
    'python',
    'dist_launch',
    'dist_train',
    'dist_test',
    'slurm_launch',
    'slurm_train',
    'slurm_test',
)


@pytest.fixture
def fake(tmp_path):
    """A folder of programs that print how they were called."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name in ('python', 'srun'):
        program = folder / name
        program.write_text(
            '#!/bin/sh\necho "$(basename "$0") $*"\n'
            'echo "PYTHONPATH=$PYTHONPATH"\n'
        )
        program.chmod(0o755)
    return folder


def bash(*words, path=None, cwd=None, **environment):
    """Run bash; returns its exit status and output."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name
        not in (
            'PYTHON',
            'PYTHONPATH',
            'PORT',
            'NNODES',
            'NODE_RANK',
            'MASTER_ADDR',
            'OWP_ENV',
        )
    }
    if path is not None:
        kept['PATH'] = f'{path}{os.pathsep}{kept["PATH"]}'
    done = subprocess.run(
        ['bash', *map(str, words)],
        cwd=cwd,
        env={**kept, **environment},
        text=True,
        timeout=60,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize('script', SCRIPTS)
def test_syntax(repo, script):
    assert bash('-n', repo / 'tools' / f'{script}.sh') == (0, '')


def test_dist_train_on_a_free_port(repo, fake):
    tools = repo / 'tools'
    _, output = bash(
        tools / 'dist_train.sh',
        'my config.py',
        2,
        '--cfg-options',
        'a=1',
        path=fake,
    )
    command, pythonpath = output.splitlines()[-2:]
    assert command == (
        'python -m torch.distributed.run --standalone --nproc_per_node 2 '
        f'{tools}/train.py my config.py --cfg-options a=1 --launcher pytorch'
    )
    assert pythonpath == f'PYTHONPATH={tools}/..'


def test_dist_test_on_two_nodes(repo, fake):
    tools = repo / 'tools'
    _, output = bash(
        tools / 'dist_test.sh',
        'config.py',
        'some.pth',
        8,
        '--out',
        'x.pkl',
        path=fake,
        NNODES='2',
        NODE_RANK='1',
        MASTER_ADDR='10.0.0.1',
        PYTHONPATH='/else',
    )
    command, pythonpath = output.splitlines()[-2:]
    assert command == (
        'python -m torch.distributed.run --nnodes 2 --node_rank 1 '
        '--master_addr 10.0.0.1 --master_port 29500 --nproc_per_node 8 '
        f'{tools}/test.py config.py some.pth --out x.pkl --launcher pytorch'
    )
    assert pythonpath == f'PYTHONPATH={tools}/..:/else'


def test_port_alone_means_one_node(repo, fake):
    _, output = bash(
        repo / 'tools' / 'dist_train.sh',
        'config.py',
        1,
        path=fake,
        PORT='29501',
    )
    assert (
        '--nnodes 1 --node_rank 0 --master_addr 127.0.0.1 '
        '--master_port 29501 --nproc_per_node 1 '
    ) in output


@pytest.mark.parametrize(
    'arguments, message',
    [
        (('config.py',), 'usage: .*dist_train.sh CONFIG GPUS'),
        (('config.py', 'two'), "must be 1 or more, not 'two'"),
        (('config.py', '0'), "must be 1 or more, not '0'"),
    ],
)
def test_dist_train_called_wrongly(repo, fake, arguments, message):
    status, output = bash(
        repo / 'tools' / 'dist_train.sh', *arguments, path=fake
    )
    assert status == 2
    assert re.search(message, output)


def test_slurm(repo, fake):
    tools = repo / 'tools'
    _, output = bash(
        tools / 'slurm_train.sh',
        'part',
        'job',
        'config.py',
        'work',
        '--amp',
        path=fake,
        GPUS='4',
        GPUS_PER_NODE='4',
        SRUN_ARGS='--quiet --mem 1G',
    )
    assert output.splitlines()[-2] == (
        'srun -p part --job-name=job --gres=gpu:4 --ntasks=4 '
        '--ntasks-per-node=4 --cpus-per-task=5 --kill-on-bad-exit=1 --quiet '
        f'--mem 1G python -u {tools}/train.py config.py --work-dir work --amp '
        '--launcher slurm'
    )
    _, output = bash(
        tools / 'slurm_test.sh',
        'part',
        'job',
        'config.py',
        'some.pth',
        path=fake,
    )
    assert f'{tools}/test.py config.py some.pth --launcher slurm' in output
