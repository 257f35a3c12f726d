"""Suites whose results are published in results/reference/<suite>: where they lie, and the record of their origin."""

from __future__ import annotations

from pathlib import Path

from bench.core.artefacts import Json, read_json
from bench.core.errors import UserError
from bench.core.layout import REFERENCE
from bench.core.shipped import shipped

VALUES = "values.csv.gz"  # of each measurement
FILES = ("summary.csv", VALUES, "provenance.json")


def published_suites() -> list[str]:
    """Return the names of the suites that have published rows."""
    try:
        home = shipped(str(REFERENCE))
    except UserError:
        return []
    return sorted(path.parent.name for path in home.glob("*/summary.csv"))


def suite_beside(given: str | bool, name: str) -> str:
    """Return the suite whose published rows a suite called `name` asks for with `beside: given`; "" for none.

    true: of the same name. reference: of the same name where that one is published, else `default`.
    """
    if given == REFERENCE.name:
        return name if name in published_suites() else "default"
    return name if given is True else given or ""


def published_folder(suite: str) -> Path:
    """Return the folder with the published rows of a suite; UserError, one line, where it has none."""
    try:
        return shipped(str(REFERENCE / suite / "summary.csv")).parent
    except UserError:
        known = ", ".join(published_suites())
        raise UserError(f"suite {suite} has no published rows; expected one of {known}") from None


def published_files(suite: str) -> list[str]:
    """Return the existing files with the published rows of a suite; [] for a suite without any."""
    if suite not in published_suites():
        return []
    folder = published_folder(suite)
    return [str(folder / name) for name in FILES if (folder / name).exists()]


def published_record(suite: str) -> Json:
    """Return the origin of the published rows of a suite: commits, hashes of measurements, counts."""
    return read_json(published_folder(suite) / "provenance.json")
