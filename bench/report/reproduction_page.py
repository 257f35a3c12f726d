"""The outcome of a comparison with published results: cells with verdicts, as a csv, a page and a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.text import markdown, markdown_table, three_digits
from bench.stats.frames import records_csv
from bench.stats.reproduction import (
    ALL_TASKS,
    ALPHA,
    DIFFERS,
    NEGLIGIBLE,
    POWER,
    REPRODUCED,
    UNTESTED,
    Cell,
)

HEADS = ("task", "row", "metric", "published", "here", "difference / error", "p", "test", "remark")
HOW = (
    f"A cell is a metric of a row on a task. It is not reproduced if p is at most {ALPHA:g}; p is corrected for all "
    "cells of the suite, so if nothing but chance differs, the probability that a suite has any such cell is at most "
    f"{ALPHA:g}. Sign flips: the test takes differences paired by measurement, each as likely as its negative, and "
    "flips all metrics of a row on a task together. Training seeds: the shift of a trained method is compared with the "
    f"spread over its trainings. Row {ALL_TASKS}: the test takes all tasks of a row together. Shifts below "
    f"{NEGLIGIBLE:.1%} of the values count as reproduced. Seconds are not compared."
)


@dataclass(frozen=True)
class Reproduction:
    """Cells with verdicts.

    commit: of the published results. gaps: sentences on results without a counterpart. absent: on how many tasks a
    published row has no run here.
    """

    suite: str
    commit: str
    cells: tuple[Cell, ...]
    gaps: tuple[str, ...]
    absent: int = 0

    @property
    def is_reproduced(self) -> bool:
        """Return whether no cell differs, at least one was tested, and no published row is absent."""
        verdicts = {cell.verdict for cell in self.cells}
        return DIFFERS not in verdicts and REPRODUCED in verdicts and not self.absent

    @property
    def ordered(self) -> list[Cell]:
        """Return the cells by verdict, those that are not reproduced first, then by standardised difference."""
        places = {DIFFERS: 0, UNTESTED: 1, REPRODUCED: 2}
        # cells without a standardised difference, such as those of a row that failed, come first
        sizes = {c: -abs(np.inf if c.standardised is None else c.standardised) for c in self.cells}
        return sorted(self.cells, key=lambda cell: (places[cell.verdict], sizes[cell]))

    def summary(self) -> str:
        """Return a line: in how many cells the published results are reproduced."""
        counts = Counter(cell.verdict for cell in self.cells)
        tested = counts[REPRODUCED] + counts[DIFFERS]
        equal = sum(x.how.startswith("equal") for x in self.cells if x.verdict == REPRODUCED)
        rest = f"; {counts[UNTESTED]} not testable" if counts[UNTESTED] else ""
        rest += f"; {self.absent} published runs are absent here" if self.absent else ""
        return (
            f"{self.suite}: reproduced in {counts[REPRODUCED]} of {tested} cells ({equal} of them equal){rest}; "
            f"published by commit {self.commit}"
        )

    def csv(self) -> str:
        """Return the text of reproduction.csv, all cells in order."""
        return records_csv(Cell, self.ordered)

    def page(self) -> str:
        """Return the text of reproduction.md: what is not reproduced, not testable, and without counterpart."""
        differ = [cell for cell in self.ordered if cell.verdict == DIFFERS]
        blocks = [
            f"# Suite {markdown(self.suite)}: is it reproduced?",
            f"{markdown(self.summary())}.",
        ]
        if differ:
            blocks += ["## Not reproduced", markdown_table(HEADS, map(_line, differ))]
        if reasons := _untested(self.cells):
            blocks += ["## Not testable", _listed(reasons)]
        if self.gaps:
            blocks += ["## Without counterpart", _listed(self.gaps)]
        return "\n\n".join([*blocks, _listed([HOW, *_resolution(self.cells)])]) + "\n"


def _line(cell: Cell) -> list[str]:
    numbers = (cell.published, cell.here, cell.standardised)
    texts = ["" if number is None else three_digits(number) for number in numbers]
    p = "" if cell.p_suite is None else f"{cell.p_suite:.2g}"
    names = map(markdown, (cell.task, cell.method, cell.metric))
    return [*names, *texts, p, cell.how, markdown(cell.reason)]


def _untested(cells: Sequence[Cell]) -> list[str]:
    """Return a line for each reason: how many cells, and of which rows."""
    rows: dict[str, dict[str, int]] = {}
    for cell in cells:
        if cell.verdict == UNTESTED:
            of_reason = rows.setdefault(cell.reason, {})
            of_reason[cell.method] = of_reason.get(cell.method, 0) + 1
    return [
        f"{sum(of.values())} cells of {', '.join(of)}: {reason}." for reason, of in rows.items()
    ]


def _resolution(cells: Sequence[Cell]) -> list[str]:
    """Return a sentence on how large a shift the test would find; [] where that is not known."""
    known = [x.detectable for x in cells if x.detectable is not None and np.isfinite(x.detectable)]
    if not known:
        return []
    median = float(np.median(known))
    sentence = (
        f"In the median of the cells that differ at all, a shift of {median:.0%} of the published value would be found "
        f"with probability {POWER:g} (column detectable of reproduction.csv)."
    )
    return [sentence]


def _listed(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {markdown(sentence)}" for sentence in sentences)
