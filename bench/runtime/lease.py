"""Leases of devices: jobs share a CPU, a job has a GPU to itself, and a clock has either alone.

A lease is a lock on a file, which the system drops when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.core.errors import UserError

FOLDER = "BENCH_LEASES"  # environment variable: where the locks are
VISIBLE = "CUDA_VISIBLE_DEVICES"
CPU = "cpu"
PAUSE = 0.05  # seconds between two tries of locks that other jobs hold


class Busy(Exception):
    """Other jobs hold every device."""


@contextlib.contextmanager
def lease(
    devices: Sequence[str] = (CPU,), *, alone: bool = False, patience: float = math.inf
) -> Iterator[str]:
    """Hold one of the devices, `alone` or together with jobs that do not need it alone, and yield its name.

    Waits until there is one. Raises Busy after `patience` seconds.
    """
    locks = {
        device: os.open(_folder() / f"{device}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        for device in devices
    }
    try:
        yield _first_free(
            locks, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, time.monotonic() + patience
        )
    finally:
        for lock in locks.values():
            os.close(lock)  # and with it the lease


@contextlib.contextmanager
def lease_gpu(
    num_devices: int, environment: Mapping[str, str] = os.environ, **waiting: float
) -> Iterator[str]:
    """Hold a GPU that no other job has, and yield its name as CUDA_VISIBLE_DEVICES has it.

    Where that variable is set already, its choice holds and no lock is needed, except in a job of Slurm: several of its
    commands may run at once and have to share its GPUs.
    """
    visible, job = environment.get(VISIBLE), environment.get("SLURM_JOB_ID")
    if visible and not job:
        yield visible
        return
    given = visible.split(",") if visible else [str(i) for i in range(num_devices)]
    prefix = f"slurm{job}-gpu" if visible else "gpu"
    names = {f"{prefix}{i}": name for i, name in enumerate(given)}
    with lease(tuple(names), alone=True, **waiting) as name:
        yield names[name]


def _first_free(locks: Mapping[str, int], kind: int, deadline: float) -> str:
    while True:
        for device, lock in locks.items():
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
                return device
        if time.monotonic() >= deadline:
            raise Busy(f"{', '.join(locks)}: held by another job")
        time.sleep(PAUSE)


def _folder() -> Path:
    """Return the folder for all jobs of a user on a machine, of whichever suite and copy of the repository.

    Nobody else may write to it: among the temporary files, which all users share, another user may have taken the name.
    """
    name = f"posterior-bench-{os.getuid()}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    shared = (Path(tempfile.gettempdir()), Path("/tmp"), cache)
    named = os.environ.get(FOLDER)
    for folder in [Path(named)] if named else [place / name for place in shared]:
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            facts = folder.lstat()
            is_shut = not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if named or (stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and is_shut):
                return folder
    where = named or ", ".join(map(str, shared))
    raise UserError(
        f"{where}: no folder for the locks of jobs that is this user's own; name one: export {FOLDER}=/path"
    )
