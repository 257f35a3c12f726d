"""Put back what a plug-in shares with the process that calls it: the working folder and the standard streams."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator
from typing import TextIO

STREAMS = (0, 1, 2)
COPIES = 100  # the first number for copies of them: above what a loop over the first handles closes


@contextlib.contextmanager
def kept_surroundings() -> Iterator[list[str]]:
    """Put back the working folder and the standard streams after the block; yield the names of what was changed.

    The list that is yielded is filled at the end. Where a stream's copy was closed, too, the stream leads to the null
    device: otherwise the next file that is opened would get its number, and `print` would write to that file.
    """
    folder, changed = os.getcwd(), list[str]()
    copies = {fd: _copy_of(fd) for fd in STREAMS}
    files = {fd: _file_behind(fd) for fd in (*STREAMS, *copies.values())}
    objects = sys.stdin, sys.stdout, sys.stderr
    try:
        yield changed
    finally:
        for fd, copy in copies.items():
            if _file_behind(fd) != files[fd]:
                changed.append(f"file descriptor {fd}")
                _reopen(fd, copy if _file_behind(copy) == files[copy] else -1)
            if copy >= 0 and _file_behind(copy) == files[copy]:
                os.close(copy)
        if _restored_objects(objects):
            changed.append("sys.stdout or its neighbours")
        if _folder() != folder:
            os.chdir(folder)
            changed.append("the working folder")


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


def _copy_of(fd: int) -> int:
    """Return a copy of an open handle, -1 of a closed one."""
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, COPIES)
    except OSError:
        return -1


def _file_behind(fd: int) -> tuple[int, int, int] | None:
    try:
        facts = os.fstat(fd)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_rdev


def _reopen(fd: int, copy: int) -> None:
    if copy >= 0:
        os.dup2(copy, fd)
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != fd:
        os.dup2(nowhere, fd)
        os.close(nowhere)


def _is_usable(stream: TextIO) -> bool:
    """Return whether a stream is open, and the handle behind it, where it has one, is open, too."""
    try:
        return not stream.closed and _file_behind(stream.fileno()) is not None
    except (OSError, ValueError):  # it is one in memory
        return not stream.closed


def _restored_objects(before: tuple) -> bool:
    """Put back sys.stdin, sys.stdout and sys.stderr, reopened where they were closed; return whether any changed."""
    changed = False
    for fd, (name, stream) in enumerate(zip(("stdin", "stdout", "stderr"), before, strict=True)):
        if stream is not None and not _is_usable(stream):
            stream = open(fd, "r" if fd == 0 else "w", closefd=False)  # noqa: SIM115
        changed |= getattr(sys, name) is not stream
        setattr(sys, name, stream)
    return changed
