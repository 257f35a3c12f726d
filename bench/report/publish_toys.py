"""Copy the pictures of a suite of toys to where they are committed, with one table of the numbers of their figures."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.core.artefacts import read_csv, write_bytes, write_csv
from bench.core.layout import Layout
from bench.core.text import csv_text, markdown, markdown_table, three_digits
from bench.report.origins import made_by, refuse_faults
from bench.report.publish import copied, write_record
from bench.stats.results import origin_of

TRUTHS = ("quadrature", "grid", "floor")  # columns of the table that come before samplers
HEADER = """Numbers of the figures. *quadrature* and *grid* are the truth, and *floor* compares draws of the truth with
others of it. Effective shares are of importance weights of the sampler's own paths. What a place and a quantity are is
said in `bench/papers/toys`."""


class Number(NamedTuple):
    """A number of a toy: where, what, of whom."""

    toy: str
    place: str
    quantity: str
    sampler: str
    value: float


def publish_toys(layout: Layout, toys: Sequence[str], into: Path, allow_dirty: bool) -> None:
    """Copy pictures and numbers into the folder `into`, which is emptied first.

    Raises UserError, one line, when they are of edited sources or of several commits, unless allow_dirty.
    """
    texts = {toy: read_csv(layout.figure(toy, "csv")) for toy in toys}
    origins = [origin_of(layout.figure(toy, "csv"), info) for toy, (_, info) in texts.items()]
    faults = refuse_faults(origins, str(layout.root), allow_dirty)
    shutil.rmtree(into, ignore_errors=True)
    for (
        toy
    ) in toys:  # the csv of a figure also holds densities and points, too large to be committed
        copied(layout.figure(toy, "png"), into / "figures" / f"{toy}.png")
    numbers = [number for toy, (text, _) in texts.items() for number in numbers_in(toy, text)]
    made_on = {"provenance": texts[toys[0]][1].get("provenance", {})}
    write_csv(into / "numbers.csv", csv_text(Number._fields, numbers), made_on)
    write_bytes(into / "numbers.md", numbers_page(into.name, numbers, made_by(origins)).encode())
    write_record(into, into.name, origins, faults, {"made_on": made_on["provenance"]})


def numbers_in(toy: str, text: str) -> Iterator[Number]:
    """Yield the numbers in the csv of a toy's figure."""
    for row in csv.DictReader(io.StringIO(text)):
        if row["kind"] == "number":
            quantity, _, sampler = row["layer"].rpartition(": ")
            yield Number(toy, row["panel"], quantity, sampler, float(row["value"]))


def numbers_page(suite: str, numbers: Sequence[Number], notes: Sequence[str]) -> str:
    """Return the table: a row for each quantity, truths and samplers across."""
    known = {number[:4]: three_digits(number.value) for number in numbers}
    found = dict.fromkeys(number.sampler for number in numbers)
    samplers = [*(x for x in TRUTHS if x in found), *(x for x in found if x not in TRUTHS)]
    rows = [
        [markdown(text) for text in key] + [known.get((*key, name), "") for name in samplers]
        for key in dict.fromkeys(number[:3] for number in numbers)
    ]
    table = markdown_table(["toy", "place", "quantity", *samplers], rows)
    below = "\n".join(f"- {markdown(note)}" for note in notes)
    return f"# {markdown(suite)}\n\n{HEADER}\n\n{table}\n\n{below}\n"
