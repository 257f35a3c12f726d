"""metrics.csv: which cells have a number, and why the others have none."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from bench.core.metric import Column
from bench.metrics._spread import ONE_IMAGE

HEADER = ("task", "method", "seed", "observation", "metric", "value", "reason")
ALL = "all"  # as observation: a number of the whole task
OVERFLOWS = "n/a (value overflows)"
NOT_A_NUMBER = "n/a (the metric gave NaN)"  # where it says no reason itself
NO_ERROR = "n/a (error is zero)"  # of a worth in exact draws, the reciprocal of an error
NOT_FINITE = {"reference": ONE_IMAGE}  # by need
NO_VALUE = "failed (its metric returns no value for this column)"
ZERO = "failed (the value is 0, and averages are over reciprocals)"
# why a need is not met, "" where it is; one, or one for each measurement
Reasons = Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True)
class Scores:
    """Metrics of one run: values (M,) by id; why_not (M,): the reason why a measurement has none, or "".

    chain_reason: why its samples are not chains, "" if they are. of_task: numbers of the whole task by id;
    task_reason: why there are none. why_empty: reasons by column id, for the whole run.
    """

    method: str
    seed: int
    values: dict[str, Tensor]
    why_not: tuple[str, ...]
    chain_reason: str
    of_task: dict[str, float] = field(default_factory=dict)
    task_reason: str = ""
    why_empty: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """The columns of every run on a task, with reasons for those that cannot have numbers.

    unmet: reasons by need. why_empty: reasons by column id.
    """

    task: str
    columns: tuple[Column, ...]
    unmet: Reasons = field(default_factory=dict)
    why_empty: Mapping[str, str] = field(default_factory=dict)

    @property
    def definitions(self) -> dict[str, str]:
        """Return the definition of each column, in the order of metrics.csv."""
        extents = ("measurement", "task", "real images")
        return {column.id: column.definition for extent in extents for column in self._of(extent)}

    @property
    def better(self) -> dict[str, str | float]:
        """Return the direction in which each column of measurements is better, without columns that have none."""
        columns = self._of("measurement")
        return {column.id: column.better for column in columns if column.better is not None}

    @property
    def harmonic(self) -> list[str]:
        """Return the columns of measurements whose average is the harmonic mean."""
        return [column.id for column in self._of("measurement") if column.average == "harmonic"]

    def csv(self, scores: Sequence[Scores]) -> str:
        """Return the text of metrics.csv: a line for each run, measurement and column, then those of the whole task.

        What real images have stands in the rows of the first run, the reference.
        """
        return "".join([self.head, *(self.lines(run, not i) for i, run in enumerate(scores))])

    @property
    def head(self) -> str:
        """Return the first line of metrics.csv."""
        return ",".join(HEADER) + "\n"

    def lines(self, run: Scores, is_first: bool = False) -> str:
        """Return the lines of a run."""
        out = io.StringIO()
        extents = ("task", "real images") if is_first else ("task",)
        lines = [*self._lines_of_measurements(run), *self._lines_of_task(run, extents)]
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows((self.task, run.method, run.seed, *line) for line in lines)
        return out.getvalue()

    def _of(self, extent: str) -> list[Column]:
        return [column for column in self.columns if column.extent == extent]

    def _lines_of_measurements(self, run: Scores) -> Iterator[tuple]:
        """Yield (observation, metric, value, reason), one of the last two empty."""
        values = {name: tensor.tolist() for name, tensor in run.values.items()}
        unmet = {**self.unmet, "": "", "chain": run.chain_reason}
        columns = self._of("measurement")
        for i, stopped in enumerate(run.why_not):
            for column in columns:
                need = unmet[column.needs]
                reason = (
                    stopped
                    or (need if isinstance(need, str) else need[i])
                    or self.why_empty.get(column.id, "")
                    or run.why_empty.get(column.id, "")
                )
                if not reason and column.id not in values:
                    reason = NO_VALUE
                value = math.nan if reason else values[column.id][i]
                yield i, column.id, *_cell(value, reason, column)

    def _lines_of_task(self, run: Scores, extents: Sequence[str]) -> Iterator[tuple]:
        unmet = {**self.unmet, "": "", "chain": run.chain_reason}
        for extent in extents:
            stopped = run.task_reason if extent == "task" else ""
            for column in self._of(extent):
                need = unmet[column.needs]
                needed = need if isinstance(need, str) else next(filter(None, need), "")
                reason = (
                    stopped
                    or needed
                    or self.why_empty.get(column.id, "")
                    or run.why_empty.get(column.id, "")
                )
                if not reason and column.id not in run.of_task:
                    reason = NO_VALUE
                value = math.nan if reason else run.of_task[column.id]
                yield ALL, column.id, *_cell(value, reason, column)


def _cell(value: float, reason: str, column: Column) -> tuple[str, str]:
    """Return value and reason, one of them empty."""
    if column.average == "harmonic" and value == 0:
        return "", ZERO
    if math.isfinite(value):
        return f"{value:.9g}", ""
    if column.average == "harmonic" and value == math.inf:
        return "", reason or NO_ERROR
    if math.isnan(value) and column.undefined:
        return "", reason or column.undefined
    return "", reason or column.not_finite or NOT_FINITE.get(
        column.needs, NOT_A_NUMBER if math.isnan(value) else OVERFLOWS
    )
