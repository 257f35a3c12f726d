"""Kill runs at random times and see what is lost: processes that live on, folders, finished work, bits."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.core.errors import UserError
from bench.cost.chaos.workshop import PATIENCE, Workshop
from bench.cost.common import Say

KINDS = ("main", "group", "job")  # the process of the run, its whole group, one of the others
EARLIEST, LATEST = 2.0, 30.0  # seconds after a start: before that, nothing has begun


@dataclass(frozen=True)
class Kill:
    """A kill, and what came of it.

    seconds: after the start. what: the command that was killed. cleared: seconds until its processes and folders were
    gone, None where they were not within the limit; left: what they were. there: files of tensors after it. remade:
    files that were there after the kill before this one and were made anew since.
    """

    kind: str
    seconds: float
    what: str
    cleared: float | None
    left: tuple[str, ...]
    there: int = 0
    remade: int = 0


def kill_runs(
    shop: Workshop,
    number: int,
    longest: float,
    tensors: Mapping[str, str],
    rng: random.Random,
    say: Say,
) -> tuple[list[Kill], set[str]]:
    """Kill runs of a suite, each after a random time up to `longest` seconds or half a minute.

    Returns the kills, and the files whose bits differ from `tensors` when a run comes to its end; then the suite is
    begun anew.
    """
    kills: list[Kill] = []
    before: dict[str, int] = {}
    wrong: set[str] = set()
    while len(kills) < number:
        kind = KINDS[len(kills) % len(KINDS)]
        kill = _kill_once(shop, kind, rng.uniform(EARLIEST, min(longest, LATEST)), rng)
        if kill is None:  # it came to its end first
            wrong |= differing(shop.tensors(), tensors)
            shutil.rmtree(shop.results)
            before = {}
            continue
        now = {path: (shop.results / path).stat().st_mtime_ns for path in shop.tensors()}
        remade = sum(now.get(path) != made for path, made in before.items())
        kills.append(replace(kill, there=len(now), remade=remade))
        before = now
        say(_line(len(kills), kills[-1]))
    if shop.run().status != 0:
        raise UserError(f"after {number} kills the same command fails; see {shop.log}")
    return kills, wrong | differing(shop.tensors(), tensors)


def differing(tensors: Mapping[str, str], expected: Mapping[str, str]) -> set[str]:
    """Return the files that only one side has, or whose hashes differ."""
    return {path for path in {*tensors, *expected} if tensors.get(path) != expected.get(path)}


def _kill_once(shop: Workshop, kind: str, seconds: float, rng: random.Random) -> Kill | None:
    """Start a run and kill something of it; None when it came to its end before that."""
    run = shop.start()
    with contextlib.suppress(subprocess.TimeoutExpired):
        if run.wait(seconds) != 0:
            raise UserError(f"a run failed by itself; see {shop.log}")
        return None
    what = _kill(run, shop.processes(), kind, rng)
    run.wait(PATIENCE)  # where a job was killed, it goes on without that job
    cleared = shop.seconds_until_clear()
    left = (*shop.processes().values(), *(folder.name for folder in shop.folders_of_servers()))
    shop.kill_all()
    return Kill(kind, round(seconds, 1), what, cleared, tuple(map(_short, left)))


def _kill(
    run: subprocess.Popen, processes: Mapping[int, str], kind: str, rng: random.Random
) -> str:
    """Send SIGKILL, and return the command of what got it."""
    if kind == "group":
        os.killpg(run.pid, signal.SIGKILL)
        return "the whole group"
    others = [pid for pid in sorted(processes) if pid != run.pid]
    target = rng.choice(others) if kind == "job" and others else run.pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(target, signal.SIGKILL)
    return _short(processes.get(target, ""))


def _short(command: str) -> str:
    """Return a command without the folders of this machine."""
    words = command.split()
    return " ".join(w for w in words if not w.startswith("/") and w not in ("-m", "-c"))[:100]


def _line(number: int, kill: Kill) -> str:
    cleared = (
        "NOT clear after 30 s" if kill.cleared is None else f"clear after {kill.cleared:.1f} s"
    )
    return (
        f"kill {number:2}: {kill.kind:5} after {kill.seconds:4.1f} s, {cleared}; {kill.there:2} files of tensors "
        f"there, {kill.remade} of those before made anew since ({kill.what})"
    )
