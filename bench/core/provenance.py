"""Provenance of artefacts: commit, command, versions, device.

Nothing here changes between two runs of the same code on the same machine.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("numpy", "torch")
# environment variables by which git is told of another repository
OF_A_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")


def _without_machine_folders(argument: str) -> str:
    """Return a path as one from the repository, or without the folders of this machine that it lies in."""
    path = Path(argument)
    if not path.is_absolute():
        return argument
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else f".../{path.name}"


def provenance(
    device: str = "cpu", threads: int | None = None, packages: Iterable[str] = ()
) -> dict:
    """Return commit, dirty flag, command, versions and device, which go into the header of each artefact.

    packages: distributions that this job uses beside those that all use.
    """
    commit, dirty = git_state()
    return {
        "commit": commit,
        "dirty": dirty,
        "command": " ".join(
            ["python", "-m", _module(sys.argv[0]), *map(_without_machine_folders, sys.argv[1:])]
        ),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in (*PACKAGES, *packages)},
        "machine": platform.machine(),
        "device": device,
        "threads": threads,
    }


def git_state() -> tuple[str, bool | None]:
    """Return the commit checked out and whether tracked or new source files differ from it.

    Only this repository counts, not one around this copy or one that a git hook has named in the environment: without
    a repository of its own the result is ("unknown", None).
    """
    own = {name: value for name, value in os.environ.items() if name not in OF_A_REPOSITORY}
    git = partial(subprocess.run, cwd=ROOT, check=True, capture_output=True, text=True, env=own)
    try:
        top = git(["git", "rev-parse", "--show-toplevel"]).stdout.strip()
        if not os.path.samefile(top, ROOT):
            return "unknown", None
        commit = git(["git", "rev-parse", "HEAD"]).stdout.strip()
        changes = git(["git", "status", "--porcelain", "--", ".", ":!results"]).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown", None
    return commit, bool(changes)


def _module(path: str) -> str:
    try:
        relative = Path(path).resolve().relative_to(ROOT)
    except ValueError:
        return Path(path).name
    return ".".join(relative.with_suffix("").parts).removesuffix(".__main__")
