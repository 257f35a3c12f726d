"""End the jobs of a run that was killed: since it cannot stop them, each job watches whether its run is still there.

A run writes its name into its suite's lock and into its environment, which its jobs inherit (`sign`). A job on the same
machine ends within seconds after the run's process is gone. A job on another machine of a cluster, which cannot see
that process, goes on until another run has taken the lock.
"""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.core.taken_over import refuse_writes_when

RUN = "BENCH_RUN"  # environment variable of the jobs: the `Run.name` of their run, and the path of its lock
PAUSE = 1.0  # seconds between two checks


@dataclass(frozen=True)
class Run:
    """A process that runs a suite. started: in ticks since the machine started, "" where that is not known."""

    host: str
    pid: int
    started: str
    lock: Path

    @classmethod
    def of_environment(cls) -> Self | None:
        """Return the run whose job this process is; None for a command that was given by hand."""
        words = os.environ.get(RUN, "").split(" ", 3)
        return cls(words[0], int(words[1]), words[2], Path(words[3])) if len(words) == 4 else None

    @property
    def name(self) -> str:
        return f"{self.host} {self.pid} {self.started}"

    @property
    def is_over(self) -> bool:
        """Return whether its process is gone, where that can be seen from here, or another run has the lock."""
        if self.host == platform.node() and not _is_alive(self.pid, self.started):
            return True
        try:
            holder = self.lock.read_text()
        except OSError:  # a network's file system may not answer for a moment
            return False
        return holder not in ("", self.name)


def sign(lock: int, path: Path) -> None:
    """Write this process's name into a lock that it holds, an open file, and into the environment of its jobs."""
    run = Run(platform.node(), os.getpid(), _started(os.getpid()), path.absolute())
    os.ftruncate(lock, 0)
    os.pwrite(lock, run.name.encode(), 0)
    os.environ[RUN] = f"{run.name} {run.lock}"


def watch() -> None:
    """Arrange for this process to be killed when its run or its parent has ended; do nothing for a command by hand.

    Until it is killed, which takes a moment, or longer for a process that was stopped, it writes no artefact either.
    """
    run = Run.of_environment()
    if run is not None:
        refuse_writes_when(lambda: "its run has ended" if run.is_over else "")
        threading.Thread(target=_watch, args=(run, os.getppid()), daemon=True).start()


def _watch(run: Run, parent: int) -> None:
    while os.getppid() == parent and not run.is_over:
        time.sleep(PAUSE)
    os.kill(os.getpid(), signal.SIGKILL)


def _is_alive(pid: int, started: str) -> bool:
    """Return whether the process that began then is still running; one that has ended as a zombie is not."""
    if started:
        return _started(pid) == started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _started(pid: int) -> str:
    """Return when a process began, from /proc; "" where there is none, or it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    return "" if fields[0] in "ZX" else fields[19]
