"""The shell scripts, with stand-ins for the programs they call."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

# Variables that the scripts read.
READ = 'PYTHON PYTHONPATH PORT NNODES NODE_RANK MASTER_ADDR OWP_ENV'.split()
ELSE = dict(PYTHONPATH='/else')


@pytest.fixture
def bash(repo, tmp_path):
    """Run a script with programs that print how they were called.

    Returns its exit status and output.
    """
    for name in ('python', 'srun'):
        program = tmp_path / name
        program.write_text(
            '#!/bin/sh\necho "$(basename "$0") $*"\n'
            'echo "PYTHONPATH=$PYTHONPATH"\n'
        )
        program.chmod(0o755)

    def run_script(name, *words, **environment):
        kept = {k: v for k, v in os.environ.items() if k not in READ}
        kept['PATH'] = f'{tmp_path}{os.pathsep}{kept["PATH"]}'
        done = subprocess.run(
            ['bash', str(repo / 'tools' / name), *map(str, words)],
            env={**kept, **environment},
            text=True,
            timeout=60,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.returncode, done.stdout

    return run_script


def test_syntax(repo):
    scripts = sorted((repo / 'tools').rglob('*.sh'))
    assert len(scripts) > 9
    for script in scripts:
        subprocess.run(['bash', '-n', script], check=True)


@pytest.mark.parametrize(
    'words, environment, torchrun, arguments',
    [
        (
            ('dist_train.sh', 'my config.py', 2, '--cfg-options', 'a=1'),
            {},
            '--standalone --nproc_per_node 2',
            'train.py my config.py --cfg-options a=1',
        ),
        (
            ('dist_test.sh', 'config.py', 'a.pth', 8, '--out', 'x.pkl'),
            dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.1'),
            '--nnodes 2 --node_rank 1 --master_addr 10.0.0.1 '
            '--master_port 29500 --nproc_per_node 8',
            'test.py config.py a.pth --out x.pkl',
        ),
        # A port alone means one node.
        (
            ('dist_train.sh', 'config.py', 1),
            dict(PORT='29501'),
            '--nnodes 1 --node_rank 0 --master_addr 127.0.0.1 '
            '--master_port 29501 --nproc_per_node 1',
            'train.py config.py',
        ),
    ],
)
@pytest.mark.parametrize('before, after', [({}, ''), (ELSE, ':/else')])
def test_dist(
    bash, repo, words, environment, torchrun, arguments, before, after
):
    tools = repo / 'tools'
    _, output = bash(*words, **environment, **before)
    assert output.splitlines()[-2:] == [
        f'python -m mmdet_owp.engine.torchrun {torchrun} '
        f'{tools}/{arguments} --launcher pytorch',
        f'PYTHONPATH={tools}/..{after}',
    ]


@pytest.mark.parametrize('arguments, message', [
    ('config.py', 'usage: .*dist_train.sh CONFIG GPUS'),
    ('config.py two', "must be 1 or more, not 'two'"),
    ('config.py 0', "must be 1 or more, not '0'"),
])  # fmt: skip
def test_dist_train_called_wrongly(bash, arguments, message):
    status, output = bash('dist_train.sh', *arguments.split())
    assert status == 2
    assert re.search(message, output)


def test_slurm(bash, repo):
    tools = repo / 'tools'
    words = ('slurm_train.sh', 'part', 'job', 'config.py', 'work', '--amp')
    _, output = bash(
        *words, GPUS='4', GPUS_PER_NODE='4', SRUN_ARGS='--quiet --mem 1G'
    )
    assert output.splitlines()[-2] == (
        'srun -p part --job-name=job --gres=gpu:4 --ntasks=4 '
        '--ntasks-per-node=4 --cpus-per-task=5 --kill-on-bad-exit=1 --quiet '
        f'--mem 1G python -u {tools}/train.py config.py --work-dir work --amp '
        '--launcher slurm'
    )
    _, output = bash('slurm_test.sh', 'part', 'job', 'config.py', 'some.pth')
    assert f'{tools}/test.py config.py some.pth --launcher slurm' in output
