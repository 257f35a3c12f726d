"""Run work in a process of its own, so that whatever happens to that process affects this work alone.

A method, a prior or any other plug-in may be killed, crash, end its process, hang or use up the memory. The job that
started it goes on, knows why it ended, and writes the reason instead of results. The process ends together with the job
that started it and with all processes that it has started itself. Its parent is a process that only waits for it, so
that a signal to its parent does not end the job, either.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import mmap
import os
import select
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.core.errors import Broken, UserError, is_shortage, one_line, printable
from bench.core.specs import Limits
from bench.runtime.family import children, exceeds

DONE, REFUSED, BROKEN = 86, 87, 88  # exit statuses
PAUSE = 0.5  # seconds between two checks of a process that sends no message
PAUSE_OF_MEMORY = 0.05  # the same where its memory has a limit
PAUSE_AT_END = 0.001  # the same for one that has closed its pipe, which it does only as it ends
# signals that come from outside a method: from the system (SIGBUS: a mapped file whose disk or shared memory is full),
# a scheduler (SIGUSR1 and SIGUSR2: soon out of time) or a user
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
FROM_OUTSIDE += (signal.SIGXCPU, signal.SIGXFSZ, signal.SIGBUS, signal.SIGUSR1, signal.SIGUSR2)
# in shared memory: the status with which the work is about to end, and the exit code with which it has ended
SAID = struct.Struct("<Bh")
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)
RUNNING: set[int] = set()  # processes that this one has started, each the leader of a group


@dataclass(frozen=True)
class Ending:
    """How work ended. status: "ok"; or "refused" (an error of the user's), "failed" or "n/a" with a `reason`.

    is_passing: the reason is a shortage of the machine or a signal from outside, so that another try may succeed.
    is_limit: a limit of the suite ended it. is_inherited: a part that it depends on had failed before.
    """

    status: str
    reason: str = ""
    is_passing: bool = False
    is_limit: bool = False
    is_inherited: bool = False

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}" if self.reason else self.status

    def over(self, limits: Limits | None) -> dict[str, float | None] | None:
        """Return the limits of the work where it exceeded one of them, else None."""
        return asdict(limits) if self.is_limit and limits is not None else None


@dataclass
class Watch:
    """What a process has reported: until when it may run, how large it may be, and why it failed."""

    deadlines: dict[str, tuple[float, Ending]] = field(default_factory=dict)
    most_bytes: float = math.inf
    too_large: Ending = field(default_factory=lambda: Ending("failed"))
    failure: Ending | None = None

    def heed(self, line: bytes) -> None:
        """Take over one message; other lines are ignored, since a method may write anywhere."""
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            said = json.loads(line)
            ending = Ending(**said["ending"])
            if "seconds" in said:
                seconds = math.inf if said["seconds"] is None else said["seconds"]
                self.deadlines[said["name"]] = time.monotonic() + seconds, ending
            elif "bytes" in said:
                self.most_bytes, self.too_large = said["bytes"], ending
            else:
                self.failure = ending

    @property
    def deadline(self) -> tuple[float, Ending]:
        """Return the first deadline, and the ending of work that exceeds it."""
        never = math.inf, Ending("failed")
        return min(self.deadlines.values(), key=lambda pair: pair[0], default=never)


# in a watched process: the pipe to its watcher, with the file's status, since a method may close it and open another
_speaks_to: list[tuple[int, os.stat_result]] = []


def contained(
    work: Callable[[], object],
    refuses: tuple[type[Exception], ...] = (),
    passing: tuple[type[Exception], ...] = (),
) -> Ending:
    """Call `work` in a forked process, and return how that ended.

    refuses: kinds of errors of the user's, which end the calling job, too. passing: kinds of errors that are a failure
    after which another try may succeed; they come first.
    """
    reading, writing = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    starter, others = os.getpid(), _children()
    _adopt()
    said = mmap.mmap(-1, SAID.size)  # shared memory, which no method closes by accident
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _wait_for(lambda: _status_of(work, refuses, passing), writing, starter, said)
    os.close(writing)
    with contextlib.suppress(OSError):  # the process has done so itself, or is gone
        os.setpgid(pid, pid)
    RUNNING.add(pid)
    try:
        return _watched(pid, reading, said, others)
    finally:
        end(pid)
        _end_adopted(others)
        os.close(reading)


def hold(limits: Limits | None) -> None:
    """Ask the process that watches this one to enforce limits from now on; do nothing where none watches."""
    if limits is None:
        return
    if limits.seconds is not None:
        ending = _failed(f"exceeded {limits.seconds:g} s", is_limit=True)
        _tell({"name": "limit", "seconds": limits.seconds, "ending": ending})
    if limits.memory_gib is not None:
        ending = _failed(f"exceeded {limits.memory_gib:g} GiB of memory", is_limit=True)
        _tell({"bytes": limits.memory_gib * 2**30, "ending": ending})


def hold_to_budget(seconds: float | None, reason: str = "") -> None:
    """Have this process ended after `seconds` as over its budget, in case no network call checks it; None: never."""
    ending = {"status": "n/a", "reason": reason}
    _tell({"name": "budget", "seconds": seconds, "ending": ending})


def end_all() -> None:
    """Kill all processes that this one has started."""
    for pid in list(RUNNING):
        end(pid)


def end(pid: int) -> None:
    """Kill a process that is still running, and all others in its group."""
    if pid in RUNNING:
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        RUNNING.discard(pid)


def _adopt() -> None:
    """Become the parent of orphaned descendants, on Linux, so that those that left their group are found, too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _end_adopted(others: set[int]) -> None:
    """Kill the children of this process that are not among `others`, and the orphans that these leave in turn."""
    spared = set(others)
    while left := _children() - spared - RUNNING:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
            except PermissionError:  # another user's, such as one behind sudo
                spared.add(pid)


def _children() -> set[int]:
    """Return the processes whose parent is this one, by /proc; none where there is no such folder."""
    found = set[int]()
    for facts in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):  # it has just ended
            # the name in parentheses may contain anything, even a parenthesis
            after_name = facts.read_text(errors="replace").rpartition(")")[2]
            if int(after_name.split()[1]) == os.getpid():
                found.add(int(facts.parent.name))
    return found


def die_with(starter: int) -> None:
    """Have this process killed when the one that started it has ended, however that ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != starter:  # it ended before this call
            os._exit(1)
    else:
        threading.Thread(target=_look_after, args=(starter,), daemon=True).start()


def _look_after(starter: int) -> None:
    while os.getppid() == starter:
        time.sleep(PAUSE)
    end_all()
    os.kill(os.getpid(), signal.SIGKILL)


def _failed(reason: str, **more: bool) -> dict:
    return {"status": "failed", "reason": printable(reason), **more}


def _tell(message: dict) -> None:
    with contextlib.suppress(OSError):  # a method has closed the pipe
        for pipe, facts in _speaks_to:
            if os.path.samestat(os.fstat(pipe), facts):
                os.write(pipe, json.dumps(message).encode() + b"\n")


def _wait_for(status_of_work: Callable[[], int], pipe: int, starter: int, said: mmap.mmap) -> None:
    """Do the work in a process forked from this one, wait for it, and store its exit code; never return.

    Both are in one group, which a signal to the parent's group reaches. This process blocks all signals that it can. It
    keeps its end of the pipe open, so that the pipe closes only once the exit code is there.
    """
    try:
        os.setpgid(0, 0)
        RUNNING.clear()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        own, worker = os.getpid(), os.fork()
        if worker == 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            _become(status_of_work, pipe, own, said)
        RUNNING.add(worker)
        die_with(starter)
        code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        said[:] = SAID.pack(said[0], code)
        os._exit(DONE)
    finally:
        os._exit(BROKEN)


def _become(status_of_work: Callable[[], int], pipe: int, starter: int, said: mmap.mmap) -> None:
    """Do the work in a forked process, store the status with which it is about to end, and end it; never return."""
    status = BROKEN
    try:
        die_with(starter)
        RUNNING.clear()
        _speaks_to[:] = [(pipe, os.fstat(pipe))]
        status = status_of_work()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        said[0] = status
        os._exit(status)


def _status_of(
    work: Callable[[], object],
    refuses: tuple[type[Exception], ...],
    passing: tuple[type[Exception], ...],
) -> int:
    try:
        work()
        return DONE
    except passing as error:
        _tell({"ending": _failed(str(error), is_passing=True)})
    except Broken as error:
        _tell({"ending": _failed(str(error), is_inherited=True)})
    except refuses as error:
        _tell({"ending": {"status": "refused", "reason": str(error)}})
        return REFUSED
    except UserError as error:  # its line needs no traceback
        _tell({"ending": _failed(str(error))})
    except BaseException as error:
        _tell({"ending": _failed(one_line(error), is_passing=is_shortage(error))})
        traceback.print_exc()  # last, since a method may have made the log unwritable
    return BROKEN


def _watched(pid: int, pipe: int, said: mmap.mmap, others: set[int]) -> Ending:
    """Wait for a process while reading its messages; return how it ended, or which limit it exceeds.

    pid: of the process that waits for the work. said: SAID, where that process stores how the work has ended.
    others: the children that this process had before, whose memory does not count.
    """
    watch, lines = Watch(), _lines_of(pipe)
    while True:
        pause = PAUSE if watch.most_bytes == math.inf else PAUSE_OF_MEMORY
        latest, too_late = watch.deadline
        for line in lines(max(0.0, min(pause, latest - time.monotonic()))):
            watch.heed(line)
        code = _exit_code(pid)
        if code is not None:
            for line in lines(0.0):  # messages that came before it ended
                watch.heed(line)
            return _ending(code, said, watch)
        if time.monotonic() >= latest:
            return too_late
        if watch.most_bytes < math.inf and _is_too_large(pid, others, watch.most_bytes):
            return watch.too_large


def _is_too_large(pid: int, others: set[int], most_bytes: float) -> bool:
    """Return whether the work that process `pid` waits for uses more memory, with all that it has started.

    Numbers that are read one after the other while a process ends do not belong together, so that all are read twice.
    """
    for _ in range(2):
        adopted = children(os.getpid()) - others - RUNNING
        if not exceeds(min(children(pid), default=pid), adopted, most_bytes):
            return False
    return True


def _lines_of(pipe: int) -> Callable[[float], Iterator[bytes]]:
    """Return a function that waits for up to some seconds and yields the lines that have come."""
    rest, is_open = b"", True

    def lines(seconds: float) -> Iterator[bytes]:
        nonlocal rest, is_open
        if not is_open:  # the process is ending
            time.sleep(min(seconds, PAUSE_AT_END))
            return
        if select.select([pipe], [], [], seconds)[0]:
            part = os.read(pipe, 65536)
            is_open = bool(part)
            *whole, rest = (rest + part).split(b"\n")
            yield from whole

    return lines


def _exit_code(pid: int) -> int | None:
    """Return the exit code of a process that has ended, negative for a signal, and kill its group; None before.

    A method may have stopped its parent, which then goes on.
    """
    ended, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
    if not ended:
        return None
    if os.WIFSTOPPED(status):
        os.kill(pid, signal.SIGCONT)
        return None
    RUNNING.discard(pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status)


def _ending(code: int, said: mmap.mmap, watch: Watch) -> Ending:
    """Return how work ended. code: of the process that waited for it; a signal to that one is the work's end, too.

    said: SAID; where exit code and status differ, the plug-in has ended the process itself.
    """
    if code == BROKEN:
        return Ending("failed", "its process could not be started", is_passing=True)
    status, code = (0, code) if code < 0 else SAID.unpack(said[:])
    is_its_own = code == status
    if code == DONE and is_its_own:
        return Ending("ok")
    if code in (REFUSED, BROKEN) and is_its_own:
        return watch.failure or Ending("failed", "its process raised an error; the log has it")
    if code < 0:
        outside = -code in FROM_OUTSIDE
        return Ending("failed", f"killed by signal {-code}", is_passing=outside)
    return Ending("failed", f"ended its process with exit status {code}")
