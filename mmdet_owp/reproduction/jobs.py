"""Run long commands, several at a time, without torch and mmdet.

A job is a folder and the commands that fill it. It may be killed at any
moment, by Ctrl-C, a signal or a power failure: the next call resumes it. While
a job's command runs, it holds a lock on the job's folder, so that two calls
never train into one folder, nor a call and the orphan of a killed one.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

_POLL = 0.3  # seconds between two looks at the processes
_PROGRESS = 60.0  # seconds between two reports of progress
_PATIENCE = 10.0  # seconds that a process has to end when asked to
_PR_SET_PDEATHSIG = 1  # of Linux' prctl


class Command(NamedTuple):
    """A program to run."""

    words: list[str]
    environment: dict[str, str] = {}  # in addition to that of this process


@dataclass(eq=False)
class Job:
    """Commands that fill a folder.

    Attributes:
        folder (Path): its name is the job's. It gets ``done``, the marker of
            a finished job, and ``output.log``, the output of the commands.
        commands (Callable): returns the commands that are left to run; called
            once the folder is locked.
        complete (Callable): returns whether the folder has the results.
        start (Job, optional): a job that must be finished before.
        progress (Callable): returns a text about the progress; may be empty.
        refused (str): why the job cannot run; empty if it can.
        recorded (Callable): returns whether the results are on file
            elsewhere, so that nothing is left to run.
    """

    folder: Path
    commands: Callable[[], Sequence[Command]]
    complete: Callable[[], bool]
    start: Job | None = None
    progress: Callable[[], str] = str
    refused: str = ''
    recorded: Callable[[], bool] = bool

    @property
    def output(self) -> Path:
        """The file with the output of the commands."""
        return self.folder / 'output.log'

    @property
    def finished(self) -> bool:
        """Whether this or an earlier call has finished the job."""
        is_done = (self.folder / 'done').exists() and self.complete()
        return is_done or self.recorded()


@dataclass
class _RunningJob:
    """A job and its command that is running."""

    job: Job
    lock: IO
    environment: dict[str, str]
    commands: list[Command] = field(default_factory=list)
    process: subprocess.Popen | None = None


def run_jobs(
    jobs: Sequence[Job],
    slots: Sequence[dict[str, str]] = ({},),
    on_finished: Callable[[Job], object] = lambda job: None,
    on_failed: Callable[[Job, str], None] = lambda job, reason: None,
) -> None:
    """Run jobs until each is finished or has failed.

    Finished ones are skipped. If a job fails, those that start from it fail
    too; the others go on. Events are printed, one per line, with the time
    since the call.

    Args:
        jobs (Sequence[Job]): started in this order, as far as slots and
            ``start`` allow.
        slots (Sequence[dict]): one per job that may run at the same time: the
            environment variables of its commands.
        on_finished (Callable): called with each job that was finished.
        on_failed (Callable): called with each job that failed and the reason.

    Raises:
        KeyboardInterrupt: on Ctrl-C, SIGTERM and SIGHUP, once all processes
            are stopped.
    """
    with _Interrupts() as interrupts:
        _Queue(jobs, slots, on_finished, on_failed, interrupts).run()


@contextmanager
def exit_on_interrupt() -> Iterator[None]:
    """Exit with status 130 on Ctrl-C; the jobs can be resumed."""
    try:
        yield
    except KeyboardInterrupt:
        print('stopped; the same command goes on', file=sys.stderr)
        sys.exit(130)


class _Queue:
    """The state of :func:`run_jobs`."""

    def __init__(self, jobs, slots, on_finished, on_failed, interrupts):
        self.start_time = time.monotonic()
        self.waiting = list(jobs)
        self.free_slots = list(slots)
        self.running: list[_RunningJob] = []
        self.failed: set[Job] = set()
        self.locked: set[Job] = set()  # reported as locked elsewhere
        self.on_finished = on_finished
        self.on_failed = on_failed
        self.interrupts = interrupts

    def report(self, job: Job, event: str) -> None:
        """Print an event with the time since the start."""
        seconds = int(time.monotonic() - self.start_time)
        clock = f'{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}'
        print(f'[{clock}] {job.folder.name}: {event}', flush=True)

    def run(self) -> None:
        """Start and watch jobs until none is left."""
        last_report = time.monotonic()
        try:
            while self.waiting or self.running:
                for job in list(self.waiting):
                    self.try_to_start(job)
                for running in list(self.running):
                    if running.process.poll() is not None:
                        self.advance(running)
                if time.monotonic() - last_report > _PROGRESS:
                    last_report = time.monotonic()
                    for running in self.running:
                        text = running.job.progress()
                        if text:
                            self.report(running.job, text)
                time.sleep(_POLL)
        finally:
            _stop([r.process for r in self.running if r.process])

    def try_to_start(self, job: Job) -> None:
        """Start a job, fail it, or leave it waiting."""
        if job.refused:
            self.fail(job, job.refused)
        elif self.free_slots and job.recorded():
            self.waiting.remove(job)
            self.report(job, 'finished before')
        elif job.start in self.failed:
            start = job.start.folder.name
            self.fail(job, f'{start} is missing, which it starts from')
        elif self.free_slots and (job.start is None or job.start.finished):
            job.folder.mkdir(parents=True, exist_ok=True)
            lock = _lock(job.folder / 'lock')
            if lock is None:
                if job not in self.locked:
                    self.locked.add(job)
                    where = f'another process that works in {job.folder}'
                    self.report(job, f'waits for {where}')
                return
            self.waiting.remove(job)
            if job.finished:
                lock.close()
                self.report(job, 'finished before')
                return
            running = _RunningJob(job, lock, self.free_slots.pop(0))
            self.running.append(running)
            running.commands = list(job.commands())
            self.advance(running)

    def advance(self, running: _RunningJob) -> None:
        """Start the next command of a job, or end the job."""
        job = running.job
        status = running.process.returncode if running.process else 0
        if status == 0 and running.commands:
            command = running.commands.pop(0)
            name = Path(command.words[1]).stem
            self.report(job, f'{name}, output in {job.output}')
            # Otherwise a process might start without being known.
            with self.interrupts.held():
                running.process = _start(command, running)
            return
        self.running.remove(running)
        self.free_slots.append(running.environment)
        if status:
            last, log = (
                _last_line(job.output),
                f'all of its output: {job.output}',
            )
            self.fail(job, f'{last} (exit status {status}; {log})')
        elif not job.complete():
            self.fail(job, f'it ended without results; see {job.output}')
        else:
            (job.folder / 'done').touch()
            self.report(job, 'finished')
            self.on_finished(job)
        running.lock.close()

    def fail(self, job: Job, reason: str) -> None:
        """Record that a job failed."""
        if job in self.waiting:
            self.waiting.remove(job)
        self.failed.add(job)
        self.report(job, f'failed: {reason}')
        self.on_failed(job, reason)


def _start(command: Command, running: _RunningJob) -> subprocess.Popen:
    """Start a command in a session of its own."""
    with running.job.output.open('a', encoding='utf-8') as output:
        return subprocess.Popen(
            command.words,
            env={**os.environ, **running.environment, **command.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # The lock is held until every process that inherits it ends.
            pass_fds=[running.lock.fileno()],
            start_new_session=True,
            preexec_fn=_end_with_parent(os.getpid()),
        )


class _Interrupts:
    """Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt in its context."""

    def __init__(self) -> None:
        self.is_holding = self.has_come = False

    def __enter__(self) -> _Interrupts:
        numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
        self.before = {n: signal.getsignal(n) for n in numbers}
        for number in numbers:
            signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            # None: it was not set from Python.
            signal.signal(number, handler or signal.SIG_DFL)

    def _on_signal(self, *_: object) -> None:
        if not self.is_holding:
            raise KeyboardInterrupt
        self.has_come = True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold them back until the end of this context."""
        self.is_holding = True
        try:
            yield
        finally:
            self.is_holding = False
            if self.has_come:
                raise KeyboardInterrupt


def _end_with_parent(parent: int) -> Callable[[], None] | None:
    """Make a child end when its parent is killed (Linux only)."""
    if not sys.platform.startswith('linux'):
        return None
    libc = ctypes.CDLL(None)

    def set_signal():
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # killed in the meantime
            os._exit(1)

    return set_signal


def _stop(processes: Sequence[subprocess.Popen]) -> None:
    """Stop processes and their children."""
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
    """Lock a file; return None if another process holds the lock."""
    file = path.open('w', encoding='utf-8')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _last_line(path: Path) -> str:
    """Return the last line of a log that is not empty."""
    lines = (
        path.read_text(encoding='utf-8', errors='replace').strip().split('\n')
    )
    return lines[-1].strip() or 'no output'
