"""Kill runs at random times, and look for processes and folders left behind, lost work and changed bits."""

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
from bench.cost.chaos.workshop import PATIENCE, Workshop, seconds_until
from bench.cost.common import Say

FIRST = "Shell command:"  # what a run prints when its first job begins
LATEST = 12.0  # seconds after that, or after the kill before
ENDS = ("main", "group")  # what is killed: the main process of the run, or its whole group


@dataclass(frozen=True)
class Kill:
    """A kill and its consequences.

    kind: "job" for any process of a run but its main one, else one of ENDS. seconds: since the first job began, or
    since the kill before. what: the command that was killed. cleared: seconds until all processes and folders of the
    run were gone, None if some were left at the limit; left: their names. there: the number of files of tensors after
    the kill. remade: how many of those that were there after the previous run have been made anew.
    """

    kind: str
    seconds: float
    what: str
    cleared: float | None = None
    left: tuple[str, ...] = ()
    there: int = 0
    remade: int = 0


def kill_runs(
    shop: Workshop, number: int, tensors: Mapping[str, str], rng: random.Random, say: Say
) -> tuple[list[Kill], set[str]]:
    """Kill a job of a run and then the run, each after a random time, until there were `number` kills.

    Returns the kills, and the files whose bits differ from `tensors` in a run that came to its end. After such a run
    the suite is started from nothing.
    """
    kills: list[Kill] = []
    before: dict[str, int] = {}
    wrong: set[str] = set()
    while len(kills) < number:
        found = _kill_twice(shop, ENDS[len(kills) // 2 % 2], rng)
        now = {path: (shop.results / path).stat().st_mtime_ns for path in shop.tensors()}
        remade = sum(now.get(path) != made for path, made in before.items())
        for kill in found:
            kills.append(replace(kill, there=len(now), remade=remade))
            say(_line(len(kills), kills[-1]))
        before = now
        if len(found) < 2 and shop.run().status == 0:  # the run had ended before the second kill
            wrong |= differing(shop.tensors(), tensors)
            shutil.rmtree(shop.results)
            before = {}
    if shop.run().status != 0:
        raise UserError(f"after {number} kills the same command fails; see {shop.log}")
    return kills, wrong | differing(shop.tensors(), tensors)


def differing(tensors: Mapping[str, str], expected: Mapping[str, str]) -> set[str]:
    """Return the files that only one side has, or whose hashes differ."""
    return {path for path in {*tensors, *expected} if tensors.get(path) != expected.get(path)}


def _kill_twice(shop: Workshop, end: str, rng: random.Random) -> list[Kill]:
    """Start a run, kill a job of it and then the run; return fewer than two kills if the run ends before."""
    run, kills = shop.start(), []
    seconds_until(lambda: run.poll() is not None or FIRST in shop.log.read_text(), PATIENCE)
    for kind in ("job", end):
        seconds = rng.uniform(0, LATEST)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(seconds)
            break
        kills.append(Kill(kind, round(seconds, 1), _kill(run, shop.processes(), kind, rng)))
    run.wait(PATIENCE)
    cleared = shop.seconds_until_clear()
    left = (*shop.processes().values(), *(folder.name for folder in shop.folders_of_servers()))
    shop.kill_all()
    return [replace(kill, cleared=cleared, left=tuple(map(_short, left))) for kill in kills]


def _kill(
    run: subprocess.Popen, processes: Mapping[int, str], kind: str, rng: random.Random
) -> str:
    """Send SIGKILL, and return the command of the process that got it."""
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
    told = (w for w in words if not w.startswith(("/", "suite=/")) and w not in ("-m", "-c"))
    return " ".join(told)[:100]


def _line(number: int, kill: Kill) -> str:
    cleared = (
        "NOT clear after 30 s" if kill.cleared is None else f"clear after {kill.cleared:.1f} s"
    )
    return (
        f"kill {number:2}: {kill.kind:5} after {kill.seconds:4.1f} s, {cleared}; {kill.there:2} files of tensors "
        f"there, {kill.remade} of those before made anew since ({kill.what})"
    )
