"""Errors of files of results: one line that says which file, what is wrong, and what to do."""

from __future__ import annotations

import os
from pathlib import Path

from bench.core.errors import OneLine
from bench.core.layout import PUBLISHED, REFERENCE


class ArtefactError(OneLine):
    """An artefact is missing or broken; the message is one line: which file, what is wrong, what to do."""


class Unwritable(ArtefactError):
    """An artefact cannot be written, since the disk is full or read-only or the process may not write."""


def unreadable(path: str | Path, error: OSError) -> ArtefactError:
    """Return the error of a file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        again = _restored(path) or "run the workflow again to make it"
        return ArtefactError(f"{path}: is missing; {again}")
    if isinstance(error, IsADirectoryError):
        return ArtefactError(
            f"{path}: is a folder, and a file belongs there; delete it and run the same command again"
        )
    return ArtefactError(f"{path}: cannot be read ({os.strerror(error.errno or 0).lower()})")


def broken(path: str | Path, what: str) -> ArtefactError:
    """Return the error of a file that is not what was written. what: a phrase that follows its name."""
    again = _restored(path) or "delete it and run the same command again"
    return ArtefactError(f"{path}: {what} (truncated or edited?); {again}")


def of_record(error: ArtefactError, path: str | Path) -> ArtefactError:
    """Return the error of a record with advice about its file, since a job makes that one and not the record alone."""
    what, _, again = str(error).rpartition("; ")
    again = again if _restored(path) else f"delete {Path(path).name} and run the same command again"
    return ArtefactError(f"{what}; {again}")


def _restored(path: str | Path) -> str:
    """Return what to do about a committed file, which no job makes; "" for an artefact of a run."""
    is_committed = any(f"{folder}/" in Path(path).as_posix() for folder in (PUBLISHED, REFERENCE))
    return (
        f"restore it, e.g. by git checkout -- {path}, or publish it again" if is_committed else ""
    )
