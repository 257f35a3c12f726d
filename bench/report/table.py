"""One table: a pandas frame of cells, and what is written around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from bench.core.results import Summary
from bench.core.text import rounded, shortened, three_digits
from bench.stats.summary import NOT_MEASURED


@dataclass(frozen=True)
class Cell:
    """A rounded mean with the ends of its interval ("" where there is none), or the reason why there is no mean.

    With a mean, `reason` says over which of the measurements it is. tied: whether it cannot be told from the best of
    its column (of its row, where methods are columns). remark: printed in brackets after the number.
    """

    mean: str = ""
    low: str = ""
    high: str = ""
    reason: str = ""
    tied: bool = False
    remark: str = ""


@dataclass(frozen=True)
class Table:
    """`frame` has a Cell for each row and column by their names; rows may share a name.

    header: one sentence on what the table is. goals: by column, "up", "down", "= 1" or a role. roles: by row, "floor"
    or "ceiling". reasons: by row, for rows with one reason across all columns. methods_across: whether columns are
    methods. resolution: the smallest differences that the numbers can resolve, as a sentence. kinds: by method, where
    methods are grouped by kind; those of one kind are neighbours.
    """

    title: str
    header: str
    frame: pd.DataFrame
    goals: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    methods_across: bool = False
    resolution: str = ""
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def partial_means(self) -> tuple[str, ...]:
        """Return what the marks † in the cells mean: `ods-single: over 3 of 16 measurements: ...`."""
        methods: dict[str, dict[str, None]] = {}
        for row, cells in self.frame.iterrows():
            for column, cell in cells.items():
                if cell.mean and cell.reason:
                    methods.setdefault(cell.reason, {})[
                        str(column if self.methods_across else row)
                    ] = None
        return tuple(f"{', '.join(names)}: {reason}" for reason, names in methods.items())


def with_methods_down(table: Table) -> Table:
    """Return a table, whose columns are methods, with rows and columns exchanged."""
    frame = table.frame.T
    for name, reason in table.reasons.items():
        frame[name] = [Cell(reason=reason)] * len(frame)
    turned = {"goals": table.roles, "roles": table.goals, "reasons": {}, "methods_across": False}
    return replace(table, frame=frame, **turned)


def words_on_kinds(table: Table) -> str:
    """Return `guidance: dps, dps-paper; latent: hmc`, in the order of the table's columns; "" without kinds."""
    groups: dict[str, list[str]] = {}
    for method in map(str, table.frame.columns):
        if method in table.kinds:
            groups.setdefault(table.kinds[method], []).append(method)
    return "; ".join(f"{kind}: {', '.join(methods)}" for kind, methods in groups.items())


def frame_of(rows: Iterable[tuple[str, Sequence[Cell]]], columns: Iterable[str]) -> pd.DataFrame:
    """Return the frame of named rows of cells."""
    rows = list(rows)
    return pd.DataFrame(
        [list(cells) for _, cells in rows], [name for name, _ in rows], list(columns), dtype=object
    )


def cell_of(line: Summary | None, tied: bool = False) -> Cell:
    """Return the cell of a line of summary.csv; None is a number that was not measured."""
    if line is None:
        return Cell(reason=NOT_MEASURED)
    if line.mean is None and line.low is not None:
        return Cell(f"at least {three_digits(line.low)}", tied=tied)
    if line.mean is None:
        return Cell(reason=shortened(line.reason))
    return Cell(*rounded(line.mean, line.low, line.high), reason=shortened(line.reason), tied=tied)
