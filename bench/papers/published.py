"""Numbers that papers print, each with its protocol: results/published, whose README.md describes the columns."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from bench.core.errors import UserError

FOLDER = Path("results/published")
MARKS = {"P": "the paper's own text", "C": "its released code", "R": "its public reviews"}
UNKNOWN, NONE = "unknown", "n/a"
EMPTY_ALLOWED = {"module", "spec", "spec_reason", "spread", "spread_of", "remark"}
NUMBERS = {"side": int, "num_images": int, "num_samples": int, "nfe": float, "sigma_stated": float, "sigma_y": float}
RANGES = {"[0, 1]": 1.0, "[-1, 1]": 2.0, "[0, 255]": 255.0}  # of images, with their widths


@dataclass(frozen=True)
class Paper:
    """`remark`: what holds for all of its numbers, or why there are none."""

    paper: str
    name: str
    title: str
    venue: str
    source: str
    remark: str


@dataclass(frozen=True)
class Number:
    """One printed number; all fields are text, as in the csv."""

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


def read_papers(folder: Path = FOLDER) -> tuple[Paper, ...]:
    """The papers in papers.csv, in its order. Raises UserError, one line with file and line."""
    return tuple(Paper(**row) for _, row in _rows(folder / "papers.csv", Paper))


def read_numbers(folder: Path = FOLDER) -> tuple[Number, ...]:
    """The numbers of all papers, in the order of papers.csv. Raises UserError, one line with file, line and field."""
    papers = {paper.paper: paper for paper in read_papers(folder)}
    strangers = {path.stem for path in folder.glob("*.csv")} - {"papers", *papers}
    if strangers:
        raise UserError(f"{folder}/{min(strangers)}.csv: no such paper in {folder}/papers.csv; add a line for it there")
    return tuple(number for paper in papers.values() for number in _numbers_of(folder / f"{paper.paper}.csv", paper))


def parameters_of(number: Number) -> dict[str, str]:
    """`{"factor": "4"}` of `factor=4`."""
    if number.parameters in (UNKNOWN, NONE):
        return {}
    return dict(part.split("=", 1) for part in number.parameters.split("; "))


def _numbers_of(path: Path, paper: Paper) -> Iterator[Number]:
    seen: dict[tuple[str, ...], int] = {}
    for line, row in _rows(path, Number) if path.exists() else ():
        number = Number(**row)
        fault = next(_faults(number, paper), None)
        if fault:
            raise UserError(f"{path}, line {line}: {fault}")
        n = number
        identity = (n.table, n.method, n.dataset, n.task, n.parameters, n.metric, n.prior, n.nfe, n.settings)
        if identity in seen:
            raise UserError(f"{path}, line {line}: is the same number as line {seen[identity]}; remove one of them")
        seen[identity] = line
        yield number


def _faults(number: Number, paper: Paper) -> Iterator[str]:
    """What is wrong with a row, in words."""
    for field in fields(Number):
        text = getattr(number, field.name)
        if not text and field.name not in EMPTY_ALLOWED:
            yield f"{field.name} is empty; expected a value, {UNKNOWN} or {NONE}"
        if text != text.strip():
            yield f"{field.name} is {text!r}; expected no space at its ends"
    if (number.paper, number.source) != (paper.paper, paper.source):
        yield f"paper and source are {number.paper}, {number.source}; expected {paper.paper}, {paper.source}"
    if number.mark not in MARKS:
        yield f"mark is {number.mark}; expected one of {', '.join(MARKS)}: others are no sources of published numbers"
    for name, kind in NUMBERS.items():
        text = getattr(number, name)
        if text not in (UNKNOWN, NONE) and not _is_positive(text, kind):
            yield f"{name} is {text}; expected a positive number, {UNKNOWN} or {NONE}"
    if not _is_number(number.value):
        yield f"value is {number.value}; expected a finite number"
    if number.spread and not _is_positive(number.spread, float) or bool(number.spread) != bool(number.spread_of):
        yield f"spread is {number.spread!r} of {number.spread_of!r}; expected a positive number and what it is of"
    if bool(number.spec) == bool(number.spec_reason):
        yield "expected either spec, our id of this metric, or in spec_reason why there is none"
    if number.parameters not in (UNKNOWN, NONE) and not all("=" in part for part in number.parameters.split("; ")):
        yield f"parameters is {number.parameters}; expected name=value; name=value"
    yield from _sigma_faults(number)


def _sigma_faults(number: Number) -> Iterator[str]:
    """sigma_y is sigma_stated, converted from the range in which the noise was added to [-1, 1]."""
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


def _rows(path: Path, kind: type) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a csv that has exactly the fields of `kind` as columns."""
    if not path.exists():
        raise UserError(f"{path}: is missing; it is committed, so restore it from git")
    reader, columns = csv.DictReader(io.StringIO(path.read_text())), [field.name for field in fields(kind)]
    _refuse(reader.fieldnames != columns, path, 1, f"expected the columns {','.join(columns)}")
    for row in reader:
        complete = None not in row and None not in row.values()
        _refuse(not complete, path, reader.line_num, f"expected {len(columns)} fields; quote those with a comma inside")
        yield reader.line_num, row


def _refuse(condition: bool, path: Path, line: int, what: str) -> None:
    if condition:
        raise UserError(f"{path}, line {line}: {what}")


def _is_positive(text: str, kind: type) -> bool:
    return _is_number(text) and float(text) > 0 and (kind is float or text.isdecimal())


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
