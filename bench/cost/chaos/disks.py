"""Run a suite on a disk that is full or read-only, then on a good one.

The first run has to report the disk in one line; the second has to make everything. As root, a small file system in
memory is mounted. Otherwise a limit on the size of files replaces the full disk, and folders without permission to
write replace the read-only one.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.cost.chaos.kills import differing
from bench.cost.chaos.workshop import Workshop
from bench.cost.common import Say

SHARES = (0.1, 0.5, 0.9)  # of the bytes that the suite needs
FILE_LIMITS = (2**10, 2**14)  # bytes, where no file system can be mounted
AMPLE = 2**30  # bytes


@dataclass(frozen=True)
class Shortage:
    """A run on a full or read-only disk. errors: its error lines; wrong: files that differ after a good run."""

    disk: str
    status: int
    errors: tuple[str, ...]
    traceback: bool
    wrong: tuple[str, ...]


def try_disks(shop: Workshop, size: int, tensors: Mapping[str, str], say: Say) -> list[Shortage]:
    """Run the suite on full and on read-only disks. size: bytes of a finished run; tensors: their hashes."""
    cases = _mounted_cases(size) if can_mount() else _limited_cases()
    found = []
    for name, prepare, short in cases:
        with prepare(shop.folder):
            found.append(_try(shop, name, short, tensors))
        shutil.rmtree(shop.folder, ignore_errors=True)
        say(_line(found[-1]))
    return found


def can_mount() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


def _try(shop: Workshop, name: str, short: Any, tensors: Mapping[str, str]) -> Shortage:
    """Run the suite while `short` fills or locks the disk, and then once more without it."""
    shop.environment()  # makes the folder for temporary files
    with short(shop.folder) as limits:
        bad = shop.run(**limits)
    good = shop.run()
    wrong = differing(shop.tensors(), tensors) if good.status == 0 else good.errors or ["failed"]
    errors = tuple(line.replace(str(shop.folder), "...") for line in bad.errors)
    return Shortage(name, bad.status, errors, bad.has_traceback, tuple(sorted(wrong)))


def _mounted_cases(size: int) -> Iterator[tuple[str, Any, Any]]:
    for share in SHARES:
        small = partial(_full, size=int(share * size))
        yield f"full at {share:.0%} of what the suite needs", _file_system, small
    yield "read-only", _file_system, _read_only


def _limited_cases() -> Iterator[tuple[str, Any, Any]]:
    for limit in FILE_LIMITS:
        yield f"files of at most {limit} bytes", _plain, partial(_small_files, limit=limit)
    yield "without permission to write", _plain, _forbidden


@contextlib.contextmanager
def _file_system(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={AMPLE}", "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def _plain(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    yield


@contextlib.contextmanager
def _full(folder: Path, size: int) -> Iterator[dict]:
    _mount("-o", f"remount,size={size}", str(folder))
    yield {}
    _mount("-o", f"remount,size={AMPLE}", str(folder))


@contextlib.contextmanager
def _read_only(folder: Path) -> Iterator[dict]:
    _mount("-o", "remount,ro", str(folder))
    yield {}
    _mount("-o", "remount,rw", str(folder))


@contextlib.contextmanager
def _small_files(folder: Path, limit: int) -> Iterator[dict]:
    largest = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    yield {"preexec_fn": partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, largest))}


@contextlib.contextmanager
def _forbidden(folder: Path) -> Iterator[dict]:
    folder.chmod(0o555)
    yield {}
    folder.chmod(0o755)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _line(shortage: Shortage) -> str:
    said = shortage.errors[0] if shortage.errors else "no line"
    after = f"{len(shortage.wrong)} files WRONG" if shortage.wrong else "then all is there"
    return f"disk {shortage.disk}: {said}; {after}" + (", TRACEBACK" if shortage.traceback else "")
