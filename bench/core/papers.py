"""The spec of a suite that follows a paper's experiments, and how results of its rehearsal are told from real ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.core.artefacts import Json
from bench.core.layout import Layout
from bench.core.specs import Spec

# ends the name of a suite whose networks have random weights, and of no other
REHEARSAL = "-rehearsal"
REHEARSAL_NOTE = (
    "This is a rehearsal: networks are a fraction as wide as published and have random weights, images are made up. It "
    "shows that every job of the suite runs; its numbers mean nothing, and it cannot be published"
)
NAME = "paper"  # of the spec


@dataclass(frozen=True)
class PlannedRow:
    """A row of a suite on a task, with its protocol as text by aspect, as bench/papers/protocols.py writes it."""

    task: str
    method: str
    protocol: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class PaperSpec(Spec):
    """The paper that a suite follows, by its name in results/published/papers.csv.

    rows: those of the suite or, in a rehearsal, of the suite that it stands for (`rehearsal_of`). unknown: what the
    paper does not say, by its place in the suite's file, and what was chosen.
    """

    paper: str
    rows: tuple[PlannedRow, ...]
    unknown: dict[str, str] = field(default_factory=dict)
    rehearsal_of: str = ""


def paper_of(root: str | Path) -> PaperSpec | None:
    """Return the paper that the suite in a folder of results follows; None where it follows none."""
    path = Layout(Path(root)).spec(NAME)
    return PaperSpec.read(path) if path.exists() else None


def is_rehearsal(root: str | Path) -> bool:
    """Return whether a folder of results is that of a rehearsal."""
    return Path(root).name.endswith(REHEARSAL)


def rehearsal_mark(root: str | Path) -> Json:
    """Return the entry that marks the records of a rehearsal's tables and figures; {} for other suites."""
    return {"rehearsal": REHEARSAL_NOTE} if is_rehearsal(root) else {}
