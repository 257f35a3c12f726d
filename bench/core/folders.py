"""List the files below a folder, for the data set that reads them and for the plan that watches them for changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bench.core.errors import UserError


def names_below(root: str | Path) -> Iterator[str]:
    """Yield the names of all files below a folder, relative to it, with `/` on every system.

    Hidden files and folders are left out. Links to folders are followed, unless they lead back to a folder that holds
    them. Raises UserError, one line, for a folder inside that may not be read; yields nothing where there is no `root`.
    """
    for folder, folders, files in os.walk(root, followlinks=True, onerror=_stop):
        inside = Path(folder).relative_to(root)
        folders[:] = sorted(name for name in folders if not _is_left_out(Path(root), inside, name))
        for name in sorted(files):
            if not name.startswith("."):
                yield (inside / name).as_posix()


def _is_left_out(root: Path, inside: Path, name: str) -> bool:
    """Return whether a folder is hidden, or is a link to one of the folders that hold it."""
    path = root / inside / name
    if name.startswith(".") or not path.is_symlink():
        return name.startswith(".")
    there = path.resolve()
    reached_by = [root / inside, *(root / parent for parent in inside.parents)]
    return any(there == way or there in way.parents for way in (p.resolve() for p in reached_by))


def _stop(error: OSError) -> None:
    """Raise UserError for a folder that cannot be read, but not where there is none."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise UserError(f"{error.filename}: cannot be read ({error.strerror})") from None
