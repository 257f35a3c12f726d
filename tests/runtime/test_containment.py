"""Work in a process of its own: the caller goes on and gets the reason, however the process ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

import pytest
from helpers.processes import has_ended, wait_until

from bench.core.artefacts import ArtefactError, Unwritable
from bench.core.errors import Broken, UserError
from bench.core.specs import Limits
from bench.runtime import containment
from bench.runtime.containment import DONE, Ending, contained, hold, hold_to_budget
from bench.runtime.family import resident


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def disk_full_below_a_map() -> None:
    signal.signal(signal.SIGBUS, signal.SIG_DFL)  # pytest prints a traceback else
    os.kill(os.getpid(), signal.SIGBUS)


def warned_by_scheduler() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def crashed() -> None:
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # pytest prints a traceback else
    ctypes.string_at(0)


def raised() -> None:
    raise ValueError("no\x1b[31m con\ud800vergence\nsecond line")


def out_of_memory() -> None:
    raise MemoryError


def interrupted() -> None:
    raise KeyboardInterrupt


def missing() -> None:
    raise Broken("prior edm: truncated")


def endless() -> None:
    hold(Limits(seconds=0.2))
    while True:
        pass


def too_large() -> None:
    hold(Limits(memory_gib=0.0001))
    time.sleep(60)


def over_budget() -> None:
    hold_to_budget(0.2, "needs more than the budget of 0.1 s")
    time.sleep(60)


def within_budget() -> None:
    hold_to_budget(0.2, "needs more")
    hold_to_budget(None)
    time.sleep(0.4)


ENDINGS = [
    (lambda: None, Ending("ok")),
    (killed, Ending("failed", "killed by signal 9", is_passing=True)),
    (
        disk_full_below_a_map,
        Ending("failed", f"killed by signal {int(signal.SIGBUS)}", is_passing=True),
    ),
    (
        warned_by_scheduler,
        Ending("failed", f"killed by signal {int(signal.SIGUSR1)}", is_passing=True),
    ),
    (crashed, Ending("failed", "killed by signal 11")),
    (lambda: os._exit(0), Ending("failed", "ended its process with exit status 0")),
    (lambda: os._exit(3), Ending("failed", "ended its process with exit status 3")),
    (lambda: os._exit(DONE), Ending("failed", f"ended its process with exit status {DONE}")),
    (raised, Ending("failed", "ValueError: no\\x1b[31m con\\ud800vergence")),
    (out_of_memory, Ending("failed", "MemoryError: no message", is_passing=True)),
    (interrupted, Ending("failed", "KeyboardInterrupt: no message")),
    (missing, Ending("failed", "prior edm: truncated", is_inherited=True)),
    (endless, Ending("failed", "exceeded 0.2 s", is_limit=True)),
    (too_large, Ending("failed", "exceeded 0.0001 GiB of memory", is_limit=True)),
    (over_budget, Ending("n/a", "needs more than the budget of 0.1 s")),
    (within_budget, Ending("ok")),
    (lambda: os.closerange(3, 4096), Ending("ok")),
]


def stopped_parent() -> None:
    os.kill(os.getppid(), signal.SIGSTOP)


def killed_parent() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def terminated_parent() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(os.getppid(), number)


def killed_group_of_parent() -> None:
    os.killpg(os.getpgid(os.getppid()), signal.SIGTERM)
    time.sleep(60)


ENDINGS += [
    (stopped_parent, Ending("ok")),
    (terminated_parent, Ending("ok")),
    (killed_parent, Ending("failed", "killed by signal 9", is_passing=True)),
    (killed_group_of_parent, Ending("failed", "killed by signal 15", is_passing=True)),
]


@pytest.mark.parametrize(("work", "ending"), ENDINGS)
def test_every_ending_has_a_reason(work, ending, capfd):
    assert contained(work) == ending


def test_nothing_is_said_into_a_file_that_has_taken_the_place_of_the_pipe(tmp_path):
    def work() -> None:
        os.closerange(3, 4096)
        files = [os.open(tmp_path / str(i), os.O_CREAT | os.O_RDWR) for i in range(40)]
        hold(Limits(seconds=9))
        assert len(files) == 40

    assert contained(work) == Ending("ok")
    assert not any(path.stat().st_size for path in tmp_path.iterdir())


def test_an_error_of_the_users_code_names_its_line():
    def refused() -> None:
        raise UserError("one line")

    assert contained(refused, (UserError,)) == Ending("refused", "one line")


def test_an_error_that_may_pass_is_a_failure_even_if_it_is_of_a_kind_that_is_refused():
    def full() -> None:
        raise Unwritable("samples: cannot be written")

    ending = Ending("failed", "samples: cannot be written", is_passing=True)
    assert contained(full, (ArtefactError,), (Unwritable,)) == ending
    assert contained(full, (ArtefactError,)).status == "refused"


def test_work_whose_parent_is_killed_ends_with_it(tmp_path):
    def orphaned() -> None:
        (tmp_path / "pid").write_text(str(os.getpid()))
        killed_parent()

    assert contained(orphaned).reason == "killed by signal 9"
    wait_until(lambda: has_ended((tmp_path / "pid").read_text()))


def test_processes_that_the_work_started_end_with_it(tmp_path):
    def starts() -> None:
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (tmp_path / "pid").write_text(str(sleeper.pid))
        killed()

    assert contained(starts).reason == "killed by signal 9"
    pid = (tmp_path / "pid").read_text()
    wait_until(lambda: has_ended(pid))
    assert not containment.RUNNING


def fill(bytes_of_memory: int) -> None:
    """Hold that much memory for a minute."""
    held = bytearray(bytes_of_memory)
    held[::4096] = bytes(len(held[::4096]))
    time.sleep(60)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing says what is used")
@pytest.mark.parametrize("leaves", [False, True])
def test_the_memory_of_what_the_work_has_started_counts(leaves):
    def starts() -> None:
        own = resident(os.getpid())
        hold(Limits(memory_gib=(own + 200 * 2**20) / 2**30))
        for _ in range(2):  # one alone is within the limit
            if os.fork() == 0:
                if leaves and os.fork():
                    os._exit(0)
                fill(150 * 2**20)
        time.sleep(60)

    assert contained(starts).is_limit


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing says what is used")
def test_memory_that_processes_share_counts_once():
    def starts() -> None:
        # much, since pages of a large process that the system has put aside come back in the meantime
        held = b"x" * (400 * 2**20)
        hold(Limits(memory_gib=(resident(os.getpid()) + 200 * 2**20) / 2**30))
        if os.fork() == 0:
            time.sleep(0.3)
            os._exit(len(held) % 2)
        os.wait()

    assert contained(starts) == Ending("ok")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody adopts it")
def test_processes_that_left_the_group_end_with_it_too(tmp_path):
    def starts() -> None:
        if os.fork() == 0:
            os.setsid()
            sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            (tmp_path / "pid").write_text(str(sleeper.pid))
            os._exit(0)
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())

    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert contained(starts) == Ending("ok")
    assert has_ended((tmp_path / "pid").read_text())
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_it_ends_with_the_process_that_started_it(tmp_path):
    def starts() -> None:
        contained(lambda: (tmp_path / "pid").write_text(str(os.getpid())) and time.sleep(60))

    starter = os.fork()
    if starter == 0:
        starts()
        os._exit(0)
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    os.kill(starter, signal.SIGKILL)
    os.waitpid(starter, 0)
    pid = (tmp_path / "pid").read_text()
    wait_until(lambda: has_ended(pid))


def test_whoever_waits_for_work_hears_of_its_end_at_once(tmp_path, monkeypatch):
    ended, paused = tmp_path / "ended", []
    pause = time.sleep

    def work() -> None:
        os.closerange(3, 256)  # its pipe among them
        pause(0.2)
        ended.touch()

    def record(seconds: float) -> None:
        paused.append(ended.exists())  # whoever pauses before the end may learn of it late
        pause(seconds)

    monkeypatch.setattr(containment.time, "sleep", record)
    assert contained(work) == Ending("ok")
    assert all(paused)
