"""Jobs in real processes, stopped and killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from mmdet_owp.reproduction import jobs
from mmdet_owp.reproduction.jobs import Command, Job, run_jobs


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(jobs, '_POLL', 0.01)


def shell(folder, *scripts, start=None, complete=lambda: True, **options):
    """Make a job of shell scripts that run in its folder."""
    words = [['sh', '-c', f'cd {folder}; {s}'] for s in scripts]
    commands = list(map(Command, words))
    return Job(folder, lambda: commands, complete, start, **options)


def test_each_runs_once_after_its_start(tmp_path):
    log = tmp_path / 'log'
    # It waits for the third job, which does not depend on it.
    first = shell(
        tmp_path / 'first',
        f'until grep again {log}; do sleep 0.01; done; echo first >>{log}',
    )
    second = shell(tmp_path / 'second', f'echo second >>{log}', start=first)
    scripts = f'echo third $SLOT >>{log}', f'echo again >>{log}'
    third = shell(tmp_path / 'third', *scripts)
    slots, ended = [dict(SLOT='a'), dict(SLOT='b')], []
    run_jobs([second, first, third], slots, ended.append)
    lines = log.read_text().split('\n')
    assert lines == ['third b', 'again', 'first', 'second', '']
    assert set(ended) == {first, second, third} and ended[-1] is second
    assert all(job.finished for job in ended)
    run_jobs([second, first, third])
    assert log.read_text().split('\n') == lines


def test_one_at_a_time_in_one_slot(tmp_path):
    log = tmp_path / 'log'
    script = f'echo $0 >>{log}; sleep 0.1; echo $0 >>{log}'
    run_jobs([shell(tmp_path / n, script.replace('$0', n)) for n in 'abc'])
    assert log.read_text().split() == list('aabbcc')


def test_a_failing_job_costs_no_other(tmp_path, capsys):
    fail = 'echo no such thing >&2; echo; exit 3'
    bad = shell(tmp_path / 'bad', fail, 'touch ran')
    after = shell(tmp_path / 'after', 'touch ran', start=bad)
    empty = shell(tmp_path / 'empty', 'true', complete=lambda: False)
    refused = shell(tmp_path / 'refused', 'touch ran', refused='too big')
    good = shell(tmp_path / 'good', 'touch ran')
    failed = {}
    run_jobs(
        [bad, after, empty, refused, good],
        on_failed=lambda job, reason: failed.update({job.folder.name: reason}),
    )
    assert failed == {
        'bad': 'no such thing (exit status 3; all of its output: '
        f'{bad.output})',
        'after': 'bad is missing, which it starts from',
        'empty': f'it ended without results; see {empty.output}',
        'refused': 'too big',
    }
    assert [job.finished for job in (bad, empty, good)] == [0, 0, 1]
    assert not list(tmp_path.glob('[!g]*/ran'))
    assert 'bad: failed: no such thing' in capsys.readouterr().out
    run_jobs([shell(bad.folder, 'true'), shell(after.folder, 'touch ran')])
    assert (after.folder / 'ran').exists()


def test_done_without_results_is_done_again(tmp_path):
    result = tmp_path / 'job/result'
    job = shell(result.parent, 'touch result', complete=result.exists)
    run_jobs([job])
    result.unlink()
    assert not job.finished
    run_jobs([job])
    assert job.finished


def test_progress_is_reported(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(jobs, '_PROGRESS', 0.05)
    run_jobs([shell(tmp_path / 'job', 'sleep 0.3', progress=lambda: 'half')])
    output = capsys.readouterr().out
    assert re.search(r'^\[0:00:0\d\] job: half$', output, re.M)


# Two jobs, each with a process of its own under a shell, for a minute.
SCRIPT = """
import sys
from pathlib import Path
from mmdet_owp.reproduction.jobs import Command, Job, run_jobs

root = Path(sys.argv[1])
script = 'sleep 60 & echo $! >{0}/pid.part; mv {0}/pid.part {0}/pid; wait'
run_jobs([
    Job(root / name,
        lambda name=name: [Command(['sh', '-c', script.format(root / name)])],
        lambda: True) for name in 'ab'
], [{}, {}])
"""


@pytest.fixture
def started(tmp_path, repo):
    """The script, once its jobs run, and the processes of its jobs."""
    process = subprocess.Popen(
        [sys.executable, '-c', SCRIPT, tmp_path],
        env=dict(os.environ, PYTHONPATH=str(repo)),
        stderr=subprocess.DEVNULL,
    )
    files = [tmp_path / name / 'pid' for name in 'ab']
    wait_until(lambda: all(file.exists() for file in files))
    inner = [int(file.read_text()) for file in files]
    yield process, inner
    process.kill()
    process.wait()
    for number in filter(alive, inner):
        os.kill(number, signal.SIGKILL)


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(number):
    """Return whether a process exists that has not ended."""
    try:
        with open(f'/proc/{number}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False


linux = pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='needs /proc'
)


@pytest.mark.slow
@linux
@pytest.mark.parametrize(
    'number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
)
def test_signals_stop_everything(started, number, tmp_path):
    process, inner = started
    assert all(map(alive, inner))
    process.send_signal(number)
    process.wait(timeout=20)
    assert process.returncode
    wait_until(lambda: not any(map(alive, inner)))
    # Their folders are free at once.
    run_jobs([shell(tmp_path / 'a', 'touch ran')])
    assert (tmp_path / 'a/ran').exists()


@linux
def test_a_signal_while_a_process_starts_stops_it(tmp_path, monkeypatch):
    processes = []

    class InterruptedPopen(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            processes.append(self)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(jobs.subprocess, 'Popen', InterruptedPopen)
    with pytest.raises(KeyboardInterrupt):
        run_jobs([shell(tmp_path / 'job', 'sleep 60')])
    assert len(processes) == 1
    assert processes[0].returncode


@linux
def test_folder_of_a_killed_call_is_not_shared(started, tmp_path, capsys):
    """Its shells end with it, but not what the shells started."""
    process, inner = started
    process.kill()
    process.wait()
    again = [shell(tmp_path / name, 'touch ran') for name in 'ab']
    os.kill(inner[0], signal.SIGKILL)
    ended = []

    def on_finished(job):
        ended.append((job.folder.name, alive(inner[1])))
        if job is again[0]:
            os.kill(inner[1], signal.SIGKILL)

    run_jobs(again, [{}, {}], on_finished)
    assert ended == [('a', True), ('b', False)]
    message = f'b: waits for another process that works in {tmp_path}/b'
    assert message in capsys.readouterr().out
