"""Hash the files outside the repository that jobs read: folders of images, checkpoints, files of weights.

A plan does this before any job, so that a change of such a file reruns the jobs that read it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from bench.core.folders import names_below

# in a folder, whose sizes are read in half a second; larger folders are not checked for changes
MOST_FILES = 100_000
# keys of parameters whose text is a path even where it looks like a name, such as a folder in the working folder
OF_PATHS = ("path", "pipeline", "weights", "checkpoint", "file", "folder")
MOST_BYTES = 2**30  # hashed in a second; of more, only sizes and times are compared


def listing_of(parameters: Mapping[str, Any]) -> str:
    """Return a hash over names, sizes, times (seconds) and content of all files below `path`, one of the parameters.

    Returns "" where there is no such folder, and for folders of more than MOST_FILES files. Hidden files are left out;
    content counts up to MOST_BYTES in all.
    """
    root = Path(parameters["path"]).expanduser()
    files = _files_below(root)
    if files is None or not files:
        return ""
    # lists of names and splits may lie elsewhere
    lists = [str(root / parameters[key]) for key in ("names", "split") if parameters.get(key)]
    files += [file for file in lists if file not in files and os.path.isfile(file)]
    lines = [f"{os.path.relpath(path, root)} {_facts(path)}" for path in files]
    text = "\n".join(lines).encode(errors="surrogateescape")
    return hashlib.sha256(text + _content(files).encode()).hexdigest()[:16]


def paths_in(parameters: Any) -> Iterator[str]:
    """Yield the strings among parameters that are paths of existing files or folders."""
    if isinstance(parameters, str):
        is_path = "/" in parameters or parameters.startswith("~") or Path(parameters).suffix
        if is_path and "\0" not in parameters and os.path.exists(os.path.expanduser(parameters)):
            yield parameters
    elif isinstance(parameters, Mapping):
        for key, value in parameters.items():
            is_bare = key in OF_PATHS and isinstance(value, str) and not any(paths_in(value))
            if is_bare and value and "\0" not in value and os.path.exists(value):
                yield value
            yield from paths_in(value)
    elif isinstance(parameters, Sequence):
        for part in parameters:
            yield from paths_in(part)


def content_at(path: str) -> str:
    """Return a hash of a file, or of all files in a folder by name; of more than MOST_BYTES, of sizes and times."""
    root = Path(path).expanduser()
    files = [str(root)] if root.is_file() else _files_below(root) or []
    names = "\n".join(os.path.relpath(file, root) for file in files)
    facts = tuple(os.stat(file).st_mtime_ns for file in files if os.path.exists(file))
    content = _content_once(tuple(files), facts) or str([_facts(file) for file in files])
    return hashlib.sha256((names + content).encode(errors="surrogateescape")).hexdigest()[:16]


def _files_below(root: Path) -> list[str] | None:
    """Return the files in a folder, sorted, without hidden ones; None for more than MOST_FILES."""
    found = list(itertools.islice(names_below(root), MOST_FILES + 1))
    return [os.path.join(root, name) for name in found] if len(found) <= MOST_FILES else None


def _facts(path: str) -> tuple[int, ...]:
    """Return size and time (seconds) of a file; nothing for a link that leads nowhere."""
    facts = os.stat(path) if os.path.exists(path) else None
    return (facts.st_size, int(facts.st_mtime)) if facts else ()


@cache
def _content_once(files: tuple[str, ...], times: tuple[int, ...]) -> str:
    """Return `_content`, cached since many jobs ask for it. times: of the files, in nanoseconds."""
    return _content(files)


def _content(files: Sequence[str]) -> str:
    """Return a hash of the content of files; "" for more than MOST_BYTES."""
    present = [path for path in files if os.path.isfile(path)]
    if sum(map(os.path.getsize, present)) > MOST_BYTES:
        return ""
    digest = hashlib.sha256()
    for path in present:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
