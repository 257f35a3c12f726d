"""Rows of a suite that were published: results/reference/<suite>, with the values of each measurement."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from bench.core.artefacts import Json, read_csv
from bench.core.declared_kinds import kind_of_row
from bench.core.errors import UserError
from bench.core.published_suites import VALUES, published_folder, published_record

COLUMNS = ("task", "method", "seed", "measurement", "metric", "value")


@dataclass(frozen=True)
class PublishedRows:
    """The published tables of one suite, in `folder`. record: contents of provenance.json."""

    suite: str
    folder: Path
    record: Json

    @property
    def commit(self) -> str:
        """Return the commits that made the rows, shortened."""
        return ", ".join(commit[:12] for commit in self.record.get("commits", [])) or "unknown"

    def hash_of(self, task: str) -> str | None:
        """Return the hash of a task's measurements; None for a task that was not published."""
        return self.record.get("observations_sha256", {}).get(task)

    def saw_another_prior(self, task: str) -> frozenset[str]:
        """Return the rows that saw another prior than the one by whose posterior they are judged on a task."""
        return frozenset(self.record.get("other_prior", {}).get(task, ()))

    def kind_of(self, row: str) -> str:
        """Return the kind of a row's method: the recorded one, or what the method of its name declares here."""
        return self.record.get("kinds", {}).get(row) or kind_of_row(row)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Return the lines of summary.csv."""
        return summary_of(self.folder / "summary.csv")

    @cached_property
    def values(self) -> pd.DataFrame:
        """Return COLUMNS for each value; UserError, one line, where the file is missing or edited."""
        path = self.folder / VALUES
        if not path.exists():
            raise UserError(
                f"{path}: is missing; publish the suite again (posterior-bench publish)"
            )
        expected = self.record.get("values_sha256")
        if expected and hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise UserError(
                f"{path}: does not match values_sha256 in provenance.json; restore both from one commit"
            )
        return pd.read_csv(path)


def summary_of(path: Path) -> pd.DataFrame:
    """Return the lines of a summary.csv; `reason` is "" where there is none. UserError where the file is missing.

    ArtefactError, one line, where it is not what its record says.
    """
    if not path.exists():
        raise UserError(f"{path}: is missing; finish the suite first (posterior-bench run SUITE)")
    has_record = Path(f"{path}.info.json").exists()
    text = read_csv(path)[0] if has_record else path.read_text(errors="replace")
    frame = pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])
    frame["reason"] = frame["reason"].fillna("")
    return frame


def published_rows(suite: str) -> PublishedRows:
    """Return the published rows of a suite; UserError, one line, where it has none."""
    return PublishedRows(suite, published_folder(suite), published_record(suite))
