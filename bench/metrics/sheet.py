"""metrics.csv: which cells have a number, and why the others have none."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from bench.metrics.checks import NEIGHBOURS
from bench.metrics.definitions import BLOCK, METRICS
from bench.metrics.metric import Metric

COLUMNS = ("task", "method", "seed", "observation", "metric", "value", "reason")
ALL = "all"  # as observation: a number of the samples of all measurements
OVERFLOWS = "n/a (value overflows)"
WHY_NOT_FINITE = {
    "exact": "n/a (exact posterior is a single point)",
    "chain": "n/a (chains do not move)",
    "reward": f"n/a (fewer than {BLOCK} samples)",
}
WHY_NOT_FINITE_OF = dict.fromkeys(  # by metric
    (f"ds{NEIGHBOURS}-pixels", f"ds{NEIGHBOURS}-pixels_ratio"), "n/a (nearest neighbours are the same image)"
)
ONE_MEASUREMENT = "n/a (one measurement: no interval)"


@dataclass(frozen=True)
class Scores:
    """Metrics of one run: values `(M,)` by id, and why a measurement has none or has no chain ("" where it has).

    of_sets: values by id for all measurements together, or `why_no_sets`.
    """

    method: str
    seed: int
    values: dict[str, Tensor]
    why_not: tuple[str, ...]
    why_no_chain: str
    of_sets: dict[str, float] = field(default_factory=dict)
    why_no_sets: str = ""


@dataclass(frozen=True)
class Sheet:
    """What is asked of every run on a task, and what is known beforehand to have no number.

    metrics, sets: the columns of measurements and of all of them; floors: those of the first run, the reference, alone.
    why_not: reasons by metric; unmet: reasons by need, one or one for each measurement.
    """

    task: str
    metrics: tuple[Metric, ...] = METRICS
    sets: tuple[Metric, ...] = ()
    floors: tuple[Metric, ...] = ()
    why_not: dict[str, str] = field(default_factory=dict)
    unmet: dict[str, str | tuple[str, ...]] = field(default_factory=dict)

    @property
    def definitions(self) -> dict[str, str]:
        return {metric.id: metric.definition for metric in (*self.metrics, *self.sets, *self.floors)}

    @property
    def better(self) -> dict[str, str | float]:
        """Which way each column of measurements is better."""
        return {metric.id: metric.better for metric in self.metrics}


def csv_of(sheet: Sheet, scores: Sequence[Scores]) -> str:
    """The text of metrics.csv: a line for each run, measurement and metric, then those of all measurements."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for i, run in enumerate(scores):
        lines = [*_of_measurements(sheet, run), *_of_sets(sheet, run, () if i else sheet.floors)]
        writer.writerows((sheet.task, run.method, run.seed, *line) for line in lines)
    return out.getvalue()


def _of_measurements(sheet: Sheet, run: Scores) -> Iterator[tuple]:
    """(observation, metric, value, reason), one of the last two empty."""
    values = {name: tensor.tolist() for name, tensor in run.values.items()}
    unmet = sheet.unmet | {"": "", "chain": run.why_no_chain}
    for i, stopped in enumerate(run.why_not):
        for metric in sheet.metrics:
            need = unmet[metric.needs]
            reason = stopped or (need if isinstance(need, str) else need[i]) or sheet.why_not.get(metric.id, "")
            value = math.nan if reason else values[metric.id][i]
            not_finite = WHY_NOT_FINITE_OF.get(metric.id) or WHY_NOT_FINITE.get(metric.needs, OVERFLOWS)
            yield i, metric.id, *_cell(value, reason or not_finite)


def _of_sets(sheet: Sheet, run: Scores, floors: Sequence[Metric]) -> Iterator[tuple]:
    of_run = [(metric, run.why_no_sets) for metric in sheet.sets]
    for metric, stopped in (*of_run, *((metric, "") for metric in floors)):
        reason = stopped or sheet.why_not.get(metric.id, "")
        value = math.nan if reason else run.of_sets[metric.id]
        yield ALL, metric.id, *_cell(value, reason or ONE_MEASUREMENT)


def _cell(value: float, reason: str) -> tuple[str, str]:
    """Value and reason, one of them empty."""
    return (f"{value:.9g}", "") if math.isfinite(value) else ("", reason)
