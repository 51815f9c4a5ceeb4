"""Running commands that take hours, several side by side: no torch, no mmdet.

A job is a folder and the commands that fill it. It may be killed at any
moment, by Ctrl-C, a signal or with the machine: the next call goes on. While
a job's command runs, it holds a lock on the job's folder, so that two calls,
or a call and what another one left behind, never train into one folder.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

_POLL = 0.3  # seconds between two looks at the processes
_PROGRESS = 60.0  # seconds between two reports of progress
_PATIENCE = 10.0  # seconds that a process has to end when asked to
_PR_SET_PDEATHSIG = 1  # of Linux' prctl


class Command(NamedTuple):
    """A program to run.

    Attributes:
        words (list[str]): its name and its arguments.
        environment (dict[str, str]): in addition to this process'.
    """

    words: list[str]
    environment: dict[str, str] = {}


@dataclass(eq=False)
class Job:
    """Commands that fill a folder.

    Attributes:
        folder (Path): its name is the job's. ``done`` in it marks a finished
            job, ``output.log`` is what the commands print.
        commands (Callable): returns those that are left to do; called once
            the folder is locked.
        complete (Callable): tells whether the folder has what the job is
            for, which ``done`` alone does not.
        start (Job, optional): that must be finished before.
        progress (Callable): returns a text on how far it is, or none.
        refused (str): why it cannot be run, if so.
    """

    folder: Path
    commands: Callable[[], Sequence[Command]]
    complete: Callable[[], bool]
    start: Job | None = None
    progress: Callable[[], str] = str
    refused: str = ''

    @property
    def output(self) -> Path:
        """Where its commands print to."""
        return self.folder / 'output.log'

    @property
    def finished(self) -> bool:
        """Whether it was finished by this or an earlier call."""
        return (self.folder / 'done').exists() and self.complete()


@dataclass
class _Running:
    """A job with the command that is running."""

    job: Job
    lock: IO
    environment: dict[str, str]
    commands: list[Command] = field(default_factory=list)
    process: subprocess.Popen | None = None


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add the argument of tools that train several configs."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='further settings of every run, as tools/train.py takes them',
    )


def run_jobs(
    jobs: Sequence[Job],
    slots: Sequence[dict[str, str]] = ({},),
    on_finished: Callable[[Job], None] = lambda job: None,
    on_failed: Callable[[Job, str], None] = lambda job, why: None,
) -> None:
    """Run jobs until each is finished or has failed.

    Finished ones are skipped. A failing job costs those that start from it,
    no others. What happens is printed, a line an event, with the time since
    the call.

    Args:
        jobs (Sequence[Job]): started in this order, as far as slots and
            ``start`` allow.
        slots (Sequence[dict]): for each job that may run at a time, what its
            commands have in their environment.
        on_finished (Callable): is called with each job that was finished.
        on_failed (Callable): with each that failed, and the reason.

    Raises:
        KeyboardInterrupt: on Ctrl-C, SIGTERM and SIGHUP, once all processes
            are stopped.
    """
    with _signals_interrupt():
        _Queue(jobs, slots, on_finished, on_failed).run()


class _Queue:
    """What :func:`run_jobs` keeps in mind."""

    def __init__(self, jobs, slots, on_finished, on_failed):
        self.begun = time.monotonic()
        self.waiting = list(jobs)
        self.free = list(slots)
        self.running: list[_Running] = []
        self.failed: set[Job] = set()
        self.told: set[Job] = set()  # whose folder is in use elsewhere
        self.on_finished = on_finished
        self.on_failed = on_failed

    def say(self, job: Job, what: str) -> None:
        """Print a line, with the time."""
        seconds = int(time.monotonic() - self.begun)
        clock = f'{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}'
        print(f'[{clock}] {job.folder.name}: {what}', flush=True)

    def run(self) -> None:
        """Start, look after and report until nothing is left."""
        reported = time.monotonic()
        try:
            while self.waiting or self.running:
                for job in list(self.waiting):
                    self.try_to_start(job)
                for one in list(self.running):
                    if one.process.poll() is not None:
                        self.go_on(one)
                if time.monotonic() - reported > _PROGRESS:
                    reported = time.monotonic()
                    for one in self.running:
                        text = one.job.progress()
                        if text:
                            self.say(one.job, text)
                time.sleep(_POLL)
        finally:
            _stop([one.process for one in self.running])

    def try_to_start(self, job: Job) -> None:
        """Start a job, or leave it waiting."""
        if job.refused:
            self.waiting.remove(job)
            self.fail(job, job.refused)
        elif job.start in self.failed:
            self.waiting.remove(job)
            self.fail(
                job,
                f'{job.start.folder.name} is missing, which it starts from',
            )
        elif self.free and (job.start is None or job.start.finished):
            job.folder.mkdir(parents=True, exist_ok=True)
            lock = _lock(job.folder / 'lock')
            if lock is None:
                if job not in self.told:
                    self.told.add(job)
                    self.say(
                        job,
                        'waits for another process that works in '
                        f'{job.folder}',
                    )
                return
            self.waiting.remove(job)
            if job.finished:
                lock.close()
                self.say(job, 'finished before')
                return
            one = _Running(job, lock, self.free.pop(0))
            self.running.append(one)
            one.commands = list(job.commands())
            self.go_on(one)

    def go_on(self, one: _Running) -> None:
        """Start a job's next command, or end it."""
        job, status = one.job, one.process.returncode if one.process else 0
        if status == 0 and one.commands:
            command = one.commands.pop(0)
            self.say(
                job, f'{Path(command.words[1]).stem}, output in {job.output}'
            )
            with job.output.open('a') as output:
                one.process = subprocess.Popen(
                    command.words,
                    env={
                        **os.environ,
                        **one.environment,
                        **command.environment,
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    # The lock lives as long as whoever has it open.
                    pass_fds=[one.lock.fileno()],
                    start_new_session=True,
                    preexec_fn=_die_with(os.getpid()),
                )
            return
        self.running.remove(one)
        self.free.append(one.environment)
        if status:
            self.fail(
                job,
                f'{_last_line(job.output)} (exit status {status}; '
                f'all of its output: {job.output})',
            )
        elif not job.complete():
            self.fail(job, f'it ended without results; see {job.output}')
        else:
            (job.folder / 'done').touch()
            self.say(job, 'finished')
            self.on_finished(job)
        one.lock.close()

    def fail(self, job: Job, why: str) -> None:
        """Note that a job failed."""
        self.failed.add(job)
        self.say(job, f'failed: {why}')
        self.on_failed(job, why)


@contextmanager
def _signals_interrupt():
    """Let other signals that end a program do what Ctrl-C does."""

    def interrupt(*_):
        raise KeyboardInterrupt

    signals = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before):
            signal.signal(number, handler)


def _die_with(parent: int) -> Callable[[], None] | None:
    """Have a child end when its parent is killed, on Linux."""
    if not sys.platform.startswith('linux'):
        return None
    libc = ctypes.CDLL(None)

    def set_signal():
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was killed just now
            os._exit(1)

    return set_signal


def _stop(processes: Sequence[subprocess.Popen]) -> None:
    """End processes with what they have started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, number)
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and any(
            process.poll() is None for process in processes
        ):
            time.sleep(0.05)


def _lock(path: Path) -> IO | None:
    """Lock a file; None where another process has done so."""
    file = path.open('w')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _last_line(path: Path) -> str:
    """Read the last line of a log that isn't empty."""
    lines = path.read_text(errors='replace').split('\n')
    return next(
        (line.strip() for line in reversed(lines) if line.strip()), 'no output'
    )
