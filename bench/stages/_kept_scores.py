"""Keep the scores of each run on a task, so that after a change of one method only its own are computed anew.

The workflow removes an outdated metrics.csv before its job begins. `.scores.csv`, a second name of the same file, is
left, and `.scores.json` says from what the lines of each run were computed. No other job reads them: where they are
missing, broken, or of other inputs, all scores are computed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any, Self, get_args

from bench.core import registry
from bench.core.artefacts import ArtefactError, read_json, write_json
from bench.core.errors import UserError
from bench.core.layout import TaskFiles
from bench.core.specs import EvaluateSpec
from bench.plan.listing import paths_in

PACKAGE = registry.INSTALLED / "bench"
PACKAGES = ("numpy", "scipy", "torch", "torchmetrics")  # that compute metrics
LINK = ".scores.csv.new_link"  # has the form of a temporary file, so that one left by a kill is removed
FAILED = (",failed (", ',"failed (')  # such a cell is computed again


@dataclass(frozen=True)
class KeptScores:
    """Lines of an earlier metrics.csv by key. keys: by run, which is named `<method>,<seed>`; {} keeps nothing."""

    files: TaskFiles
    keys: Mapping[str, str]
    lines: Mapping[str, str]

    @classmethod
    def read(cls, spec: EvaluateSpec, facts: Sequence[Any], samples: Mapping[str, str]) -> Self:
        """Return what an earlier evaluation of a task has left: nothing where it is not whole.

        facts: what all scores depend on beside files and code. samples: by run, the hash of its file.
        """
        files = spec.layout.task(spec.task)
        if next(paths_in(spec.metrics), None) is not None:  # files of which nothing is known here
            return cls(files, {}, {})
        source = _source(spec, facts)
        keys = {run: _hash([source, run, sha256]) for run, sha256 in samples.items()}
        lines: dict[str, str] = {}
        with contextlib.suppress(ArtefactError, OSError, ValueError, KeyError):
            record, data = read_json(_record(files)), _link(files).read_bytes()
            if hashlib.sha256(data).hexdigest() == record["csv_sha256"]:
                by_run = _by_run(data.decode())
                lines = {key: by_run[run] for run, key in record["keys"].items()}
        return cls(files, keys, lines)

    def lines_of(self, run: str) -> str:
        """Return the lines of a run, "" where they have to be made."""
        return self.lines.get(self.keys.get(run, ""), "")

    def write(self, text: str) -> None:
        """Keep metrics.csv, which was just written with this text.

        Where the file system has no second names for a file, nothing is kept.
        """
        if not self.keys:
            return
        digest = hashlib.sha256(text.encode()).hexdigest()
        with contextlib.suppress(ArtefactError, UserError, OSError, ValueError):
            by_run = _by_run(text).items()
            sound = {run: self.keys[run] for run, lines in by_run if not _has_failed(lines)}
            link = self.files.folder / LINK
            link.unlink(missing_ok=True)
            os.link(self.files.metrics, link)
            link.replace(_link(self.files))
            write_json(_record(self.files), {"csv_sha256": digest, "keys": sound})


def _source(spec: EvaluateSpec, facts: Sequence[Any]) -> str:
    """Return a hash of what all scores of a task depend on.

    It covers more than it has to: all code of this package, all plug-ins of the user but methods and figures, all data
    sets, priors and classifiers of the suite, versions, and `facts`.
    """
    own = {name: value for name, value in spec.content().items() if name != "runs"}
    versions = [sys.version, platform.machine(), *map(version, PACKAGES)]
    return _hash([own, versions, dict(_contents()), list(_on_disk(spec)), *facts])


def _contents() -> Iterator[tuple[str, str]]:
    """Yield the files of this package and of the user's plug-ins, with a hash of each."""
    files = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.json")]
    for kind in set(get_args(registry.Kind)) - {"method", "figure"}:
        for folder in registry.folders(kind):
            if not folder.resolve().is_relative_to(PACKAGE):
                files += [path for path in folder.rglob("*") if path.suffix != ".pyc"]
    for path in sorted(files):
        if path.is_file():
            yield str(path), hashlib.sha256(path.read_bytes()).hexdigest()


def _on_disk(spec: EvaluateSpec) -> Iterator[tuple[str, int, int]]:
    """Yield name, size and time of the suite's files that scores may depend on, apart from samples."""
    layout = spec.layout
    folders = (layout.root / "priors", layout.root / "classifiers", layout.root / "data")
    files = [path for folder in folders for path in folder.rglob("*")]
    for path in sorted([layout.task(spec.task).reference, *files]):
        facts = path.stat()
        yield str(path), facts.st_size, facts.st_mtime_ns


def _by_run(text: str) -> dict[str, str]:
    """Return the lines of metrics.csv by run, `<method>,<seed>`; ValueError unless those of a run are neighbours."""
    lines, found = io.StringIO(text), dict[str, str]()
    next(lines, None)
    for start, own in groupby(lines, key=lambda line: line.split(",", 3)[1:3]):
        run = ",".join(start)
        if run in found:
            raise ValueError(f"lines of {run} in two places")
        found[run] = "".join(own)
    return found


def _has_failed(lines: str) -> bool:
    return any(words in lines for words in FAILED)


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _link(files: TaskFiles) -> Path:
    return files.folder / ".scores.csv"


def _record(files: TaskFiles) -> Path:
    return files.folder / ".scores.json"
