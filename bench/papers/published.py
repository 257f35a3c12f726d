"""Read the numbers that papers print, with their protocols; results/published/README.md describes the columns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from bench.core.errors import UserError
from bench.core.layout import PUBLISHED
from bench.core.shipped import shipped

MARKS = {"P": "the paper's own text", "C": "its released code", "R": "its public reviews"}
UNKNOWN, NONE = "unknown", "n/a"
EMPTY_ALLOWED = {"module", "spec", "spec_reason", "spread", "spread_of", "remark"}
NUMERIC = {
    "side": int,
    "num_images": int,
    "num_samples": int,
    "nfe": float,
    "sigma_stated": float,
    "sigma_y": float,
}
RANGES = {"[0, 1]": 1.0, "[-1, 1]": 2.0, "[0, 255]": 255.0}  # of images, with their widths
IDENTITY = (
    "table",
    "method",
    "dataset",
    "task",
    "parameters",
    "metric",
    "prior",
    "nfe",
    "settings",
)

Row = tuple[int, dict[str, str]]  # line in its file, and text by column


@dataclass(frozen=True)
class Paper:
    """A paper whose numbers are transcribed. remark: for all of its numbers, or the reason why there are none."""

    paper: str
    name: str
    title: str
    venue: str
    source: str
    remark: str


@dataclass(frozen=True)
class PublishedNumber:
    """One printed number with its protocol. All fields are text, as in the csv."""

    paper: str
    source: str
    table: str
    method: str
    module: str
    dataset: str
    side: str
    task: str
    operator: str
    parameters: str
    sigma_stated: str
    range_stated: str
    range_applied: str
    sigma_y: str
    num_images: str
    num_samples: str
    metric: str
    spec: str
    spec_reason: str
    prior: str
    checkpoint: str
    nfe: str
    settings: str
    value: str
    spread: str
    spread_of: str
    mark: str
    remark: str


def published_folder() -> Path:
    """Return results/published of the working directory, or of the installed copy if there is none."""
    return shipped(str(PUBLISHED))


def read_papers(folder: Path | None = None) -> tuple[Paper, ...]:
    """Return the papers in papers.csv, in its order. Raises UserError, one line with file and line."""
    folder = folder or published_folder()
    return tuple(Paper(**cells) for _, cells in _read_rows(folder / "papers.csv", Paper))


def read_numbers(folder: Path | None = None) -> tuple[PublishedNumber, ...]:
    """Return the numbers of all papers, in the order of papers.csv.

    Raises UserError, one line with file, line and field.
    """
    folder = folder or published_folder()
    papers = {paper.paper: paper for paper in read_papers(folder)}
    unlisted = {path.stem for path in folder.glob("*.csv")} - {"papers", *papers}
    if unlisted:
        raise UserError(
            f"{folder}/{min(unlisted)}.csv: no such paper in {folder}/papers.csv; add a line for it there"
        )
    return tuple(number for paper in papers.values() for number in _read_numbers_of(paper, folder))


def parameters_of(number: PublishedNumber) -> dict[str, str]:
    """Return the operator's parameters by name: `{"factor": "4"}` of `factor=4`."""
    if number.parameters in (UNKNOWN, NONE):
        return {}
    return dict(part.split("=", 1) for part in number.parameters.split("; "))


def _read_numbers_of(paper: Paper, folder: Path) -> Iterator[PublishedNumber]:
    path, lines = folder / f"{paper.paper}.csv", {}
    for line, cells in _read_rows(path, PublishedNumber) if path.exists() else ():
        number = PublishedNumber(**cells)
        fault = next(_faults(number, paper), None)
        identity = tuple(cells[name] for name in IDENTITY)
        if not fault and identity in lines:
            fault = f"is the same number as line {lines[identity]}; remove one of them"
        if fault:
            raise UserError(f"{path}, line {line}: {fault}")
        lines[identity] = line
        yield number


def _read_rows(path: Path, record: type) -> list[Row]:
    """Return the rows of a csv whose columns are exactly the fields of `record`."""
    import pandas as pd  # imported late: half a second

    columns = [field.name for field in fields(record)]
    if not path.exists():
        raise UserError(f"{path}: is missing; it is committed, so restore it from git")
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except pd.errors.ParserError as error:  # a row with too many fields; the message names its line
        place = re.search(r"line (\d+)", str(error))
        raise _wrong_number_of_fields(path, place[1] if place else "1", columns) from None
    if list(frame.columns) != columns:
        raise UserError(f"{path}, line 1: expected the columns {','.join(columns)}")
    is_whole = frame.notna().all(axis=1) & isinstance(frame.index, pd.RangeIndex)
    if not is_whole.all():
        raise _wrong_number_of_fields(path, is_whole.argmin() + 2, columns)
    return [
        (line, {str(key): text for key, text in cells.items()})
        for line, cells in enumerate(frame.to_dict("records"), 2)
    ]


def _wrong_number_of_fields(path: Path, line: object, columns: list[str]) -> UserError:
    return UserError(
        f"{path}, line {line}: expected {len(columns)} fields; quote those with a comma inside"
    )


def _faults(number: PublishedNumber, paper: Paper) -> Iterator[str]:
    """Yield the faults of a row, each as `<field> is <text>; expected <what>`."""
    for field in fields(PublishedNumber):
        text = getattr(number, field.name)
        if not text and field.name not in EMPTY_ALLOWED:
            yield f"{field.name} is empty; expected a value, {UNKNOWN} or {NONE}"
        if text != text.strip():
            yield f"{field.name} is {text!r}; expected no space at its ends"
    if (number.paper, number.source) != (paper.paper, paper.source):
        yield f"paper and source are {number.paper}, {number.source}; expected {paper.paper}, {paper.source}"
    if number.mark not in MARKS:
        yield f"mark is {number.mark}; expected one of {', '.join(MARKS)}: others are no sources of published numbers"
    yield from _numeric_faults(number)
    if bool(number.spec) == bool(number.spec_reason):
        yield "expected either spec, our id of this metric, or in spec_reason why there is none"
    if number.parameters not in (UNKNOWN, NONE) and not all(
        "=" in part for part in number.parameters.split("; ")
    ):
        yield f"parameters is {number.parameters}; expected name=value; name=value"
    yield from _sigma_faults(number)


def _numeric_faults(number: PublishedNumber) -> Iterator[str]:
    for name, kind in NUMERIC.items():
        text = getattr(number, name)
        if text not in (UNKNOWN, NONE) and not _is_positive(text, kind):
            yield f"{name} is {text}; expected a positive number, {UNKNOWN} or {NONE}"
    if not _is_number(number.value):
        yield f"value is {number.value}; expected a finite number"
    if (
        number.spread
        and not _is_positive(number.spread, float)
        or bool(number.spread) != bool(number.spread_of)
    ):
        yield f"spread is {number.spread!r} of {number.spread_of!r}; expected a positive number and what it is of"


def _sigma_faults(number: PublishedNumber) -> Iterator[str]:
    """Yield the faults of sigma_y, which must be sigma_stated converted from the noise's range to [-1, 1]."""
    if number.sigma_y in (UNKNOWN, NONE):
        if {number.sigma_stated, number.range_stated, number.range_applied} - {UNKNOWN, NONE}:
            yield f"sigma_y is {number.sigma_y}, but a sigma or a range is given; expected all of them or none"
        return
    if not _is_number(number.sigma_stated):
        yield f"sigma_stated is {number.sigma_stated}, but sigma_y is {number.sigma_y}; expected the printed number"
    for name in ("range_stated", "range_applied"):
        if getattr(number, name) not in RANGES:
            yield f"{name} is {getattr(number, name)}; expected one of {', '.join(RANGES)}"
    expected = float(number.sigma_stated) * RANGES["[-1, 1]"] / RANGES[number.range_applied]
    if not math.isclose(float(number.sigma_y), expected, rel_tol=1e-6):
        where = f"{number.sigma_stated} on {number.range_applied}"
        yield f"sigma_y is {number.sigma_y}; expected {expected:g}, which is {where} in data units"


def _is_positive(text: str, kind: type) -> bool:
    return _is_number(text) and float(text) > 0 and (kind is float or text.isdecimal())


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
