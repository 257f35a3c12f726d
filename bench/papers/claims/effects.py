"""The effects by which claims are judged: a few kinds, each with its rows as fields, shared by the four papers.

An effect is a function of means over measurements, with a paired interval of 95 % over measurements and seeds. If the
effect depends on times of the clock, the interval also covers their scatter over its visits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from bench.papers.claims.evidence import ENERGY, Evidence, Lacking
from bench.papers.claims.intervals import (
    Interval,
    combined,
    exact,
    mean_of,
    ratio_of_means,
    ratio_over_visits,
    shared,
)

ALIKE = 1.25  # costs that differ by less than this factor count as equal
MOST_PSNR_DIFFERENCE = 1.0  # dB between posterior means: fidelity is comparable up to it
SMALLEST = (
    1e-3  # diversity: smaller ratios are raised to it before logarithms, as equal samples have none
)
Cost = Literal["rows", "seconds"]
UNITS = {"rows": "network rows, forward and backward", "seconds": "seconds by the clock"}


@dataclass(frozen=True)
class Effect:
    """An effect with its interval. detail: further numbers for the reader, such as the ratio on each task."""

    interval: Interval
    detail: str = ""


class Test(Protocol):
    """A kind of effect with its rows. `statistic` says in words what is computed."""

    @property
    def rows(self) -> tuple[str, ...]: ...
    @property
    def statistic(self) -> str: ...
    def measure(self, evidence: Evidence, tasks: Sequence[str]) -> Effect:
        """Return the effect over the tasks; raise Lacking where the suite lacks what it needs."""
        ...


@dataclass(frozen=True)
class Pair:
    """Two rows that are compared."""

    row: str
    other: str

    @property
    def rows(self) -> tuple[str, ...]:
        return (self.row, self.other)


@dataclass(frozen=True)
class Farther(Pair):
    """The ratio of one row's distance from the exact posterior to another's.

    equal_rows: whether their network rows have to be equal within ALIKE. num_measurements: measurements that share the
    cost of training in that comparison; None leaves training out.
    """

    column: str = ENERGY  # a squared distance
    equal_rows: bool = False
    num_measurements: int | None = None

    @property
    def statistic(self) -> str:
        return f"Root of the mean {self.column} of {self.row} over that of {self.other}"

    def measure(self, evidence: Evidence, tasks: Sequence[str]) -> Effect:
        values = evidence.values(tasks, self.rows, self.column)
        detail = self._cost(evidence, tasks) if self.equal_rows else ""
        ratio = ratio_of_means(*scaled(values)).map(math.sqrt)
        return Effect(ratio, "; ".join(filter(None, (detail, by_task(values, tasks)))))

    def _cost(self, evidence: Evidence, tasks: Sequence[str]) -> str:
        """Return a remark that both rows cost the same; raise Lacking where they do not."""
        for task in tasks:
            num = self.num_measurements
            spent = [total_rows(evidence, task, row, num) for row in self.rows]
            times = spent[0] / spent[1] if spent[1] else math.inf
            if not 1 / ALIKE <= times <= ALIKE:
                wanted = f"needs {self.row} and {self.other} at the same network rows on {task}"
                raise Lacking(f"{wanted} (within 25 %): they take {times:.3g} to 1")
        return "the same network rows within 25 %"


@dataclass(frozen=True)
class WorstOverBest:
    """The ratio of the worst row's distance from the exact posterior to the best row's.

    All ordered pairs are compared, with intervals that hold for all of them together.
    """

    rows: tuple[str, ...]
    column: str = ENERGY

    @property
    def statistic(self) -> str:
        return f"Root of the mean {self.column} of the worst of the rows over that of the best, all pairs compared"

    def measure(self, evidence: Evidence, tasks: Sequence[str]) -> Effect:
        values = evidence.values(tasks, self.rows, self.column)
        pairs = list(itertools.permutations(range(len(self.rows)), 2))
        ratios = {}
        for pair in pairs:
            both = scaled(values[:, list(pair)])
            ratios[pair] = ratio_of_means(*both, level=shared(len(pairs))).map(math.sqrt)
        worst = max(ratios, key=lambda pair: ratios[pair].value)
        ends = [max(getattr(ratio, end) for ratio in ratios.values()) for end in ("low", "high")]
        names = f"{self.rows[worst[0]]} is the worst, {self.rows[worst[1]]} the best"
        return Effect(Interval(ratios[worst].value, *ends), names)


@dataclass(frozen=True)
class WorthPerRow(Pair):
    """The worth of a row's samples in independent exact draws, per network row, over that of another row."""

    column: str = "worth_energy"

    @property
    def statistic(self) -> str:
        return f"{self.column} per network row of {self.row} over that of {self.other}"

    def measure(self, evidence: Evidence, tasks: Sequence[str]) -> Effect:
        errors = evidence.values(tasks, self.rows, self.column).mean(0)
        costs = [[evidence.rows_per_sample(task, row) for task in tasks] for row in self.rows]
        ours, theirs = (float(np.mean(cost)) for cost in costs)
        if not ours:
            raise Lacking(f"needs network rows of {self.row}")
        ratio = ratio_of_means(errors[1], errors[0]).map(lambda times: times * theirs / ours)
        worths = [1 / max(float(error.mean()), 1e-12) for error in errors]
        return Effect(
            ratio,
            f"worth {worths[0]:.3g} draws for {ours:.3g} rows a sample against {worths[1]:.3g} for {theirs:.3g}",
        )


@dataclass(frozen=True)
class MoreDiverse(Pair):
    """The diversity of a row over that of another if their fidelity is comparable, as in the paper."""

    equal_rows: bool = False

    @property
    def statistic(self) -> str:
        return f"Mean diversity of {self.row} over that of {self.other}"

    def measure(self, evidence: Evidence, tasks: Sequence[str]) -> Effect:
        psnr = mean_of(np.subtract(*evidence.values(tasks, self.rows, "psnr_mean").mean(0)))
        apart = f"PSNR of posterior means differs by {psnr.value:.2g} dB"
        if abs(psnr.value) > MOST_PSNR_DIFFERENCE:
            raise Lacking(f"needs a difference of at most {MOST_PSNR_DIFFERENCE:g} dB: {apart}")
        costs = [
            np.mean([evidence.rows_per_sample(task, row) for task in tasks]) for row in self.rows
        ]
        times = float(costs[0] / costs[1])
        if self.equal_rows and not 1 / ALIKE <= times <= ALIKE:
            raise Lacking(f"needs the same network rows within 25 %: they take {times:.3g} to 1")
        values = evidence.values(tasks, self.rows, "diversity_ratio").mean(0)
        return Effect(
            ratio_of_means(values[0], values[1]), f"{times:.3g} times the network rows; {apart}"
        )


@dataclass(frozen=True)
class NearerDiversity(Pair):
    """The distance of a row's mean log diversity from that of the exact posterior, minus the same of another row."""

    @property
    def statistic(self) -> str:
        return f"|mean log diversity_ratio| of {self.row} minus that of {self.other}"

    def measure(self, evidence: Evidence, tasks: Sequence[str]) -> Effect:
        values = evidence.values(tasks, self.rows, "diversity_ratio")
        logs = np.log(np.maximum(values, SMALLEST)).mean(0)
        oriented = [one * (-1 if one.mean() < 0 else 1) for one in logs]
        ratios = [math.exp(float(one.mean())) for one in logs]
        detail = f"diversity over the exact one: {ratios[0]:.3g} against {ratios[1]:.3g}"
        return Effect(mean_of(oriented[0] - oriented[1]), detail)


@dataclass(frozen=True)
class Growth:
    """The power of the cost with which the worth of a row's samples grows.

    It is 1 for independent draws, and 2 where the cost grows with the square root of the worth. Compared are the first
    `few` and the first `many` samples of a run; their costs are those of calls of the clock.
    """

    row: str
    cost: Cost = "rows"
    column: str = "worth_energy"
    few: int = 8
    many: int = 64

    @property
    def rows(self) -> tuple[str, ...]:
        return (self.row,)

    @property
    def statistic(self) -> str:
        return (
            f"log of the ratio of {self.column} over log of the ratio of costs, of the first {self.many} and the first "
            f"{self.few} samples of {self.row}; {UNITS[self.cost]}"
        )

    def measure(self, evidence: Evidence, tasks: Sequence[str]) -> Effect:
        (task,) = tasks  # the clock's
        few = evidence.values(tasks, self.rows, f"{self.column}@{self.few}")[0, 0]
        many = evidence.values(tasks, self.rows, f"{self.column}@{self.many}")[0, 0]
        level = shared(2) if self.cost == "seconds" else shared(1)
        gain, dearer = ratio_of_means(few, many, level), self._dearer(evidence, task, level)
        worths = [1 / max(float(errors.mean()), 1e-12) for errors in (few, many)]
        detail = (
            f"worth {worths[0]:.3g} to {worths[1]:.3g} draws at {dearer.value:.3g} times the cost"
        )
        return Effect(combined(_power, gain, dearer), detail)

    def _dearer(self, evidence: Evidence, task: str, level: float) -> Interval:
        """Return the cost of many samples over that of few; at least 1, since the many contain the few."""
        if self.cost == "seconds":
            times = (evidence.seconds(task, self.row, num) for num in (self.many, self.few))
            return ratio_over_visits(*times, level=level).map(lambda ratio: max(ratio, 1.0))
        few, many = (evidence.timed_call(task, self.row, num) for num in (self.few, self.many))
        counts = [(cell["nfe"] + cell["nfe_vjp"]) * cell["s"] for cell in (many, few)]
        return exact(counts[0] / counts[1])


@dataclass(frozen=True)
class CostAtEqualWorth(Pair):
    """The total cost of a trained row over the cost of chains with the same worth, for a number of measurements.

    The worth of chains is taken as proportional to their cost.
    """

    num_measurements: int
    cost: Cost = "rows"
    column: str = "worth_energy"

    @property
    def statistic(self) -> str:
        return (
            f"Cost of {self.row} for {self.num_measurements} measurements, training included, over that of "
            f"{self.other} for the same {self.column}, which is taken as proportional to its cost; {UNITS[self.cost]}"
        )

    def measure(self, evidence: Evidence, tasks: Sequence[str]) -> Effect:
        (task,) = tasks
        errors = evidence.values(tasks, self.rows, self.column)[0]
        level = shared(4) if self.cost == "seconds" else shared(1)
        worth = ratio_of_means(errors[1], errors[0], level)
        training, ours, theirs = self._costs(evidence, task, level)

        def times(worth: float, training: float, ours: float, theirs: float) -> float:
            spent = training / self.num_measurements + ours
            return spent / (theirs * worth) if theirs * worth > 0 else math.inf

        saved = theirs.value * worth.value - ours.value
        pays = (
            f"pays from {training.value / saved:.3g} measurements on" if saved > 0 else "never pays"
        )
        detail = f"worth {worth.value:.3g} times that of {self.other}; {pays}"
        return Effect(combined(times, worth, training, ours, theirs), detail)

    def _costs(
        self, evidence: Evidence, task: str, level: float
    ) -> tuple[Interval, Interval, Interval]:
        """Return the cost of the training, and the cost of all samples of a measurement with each row."""
        num = evidence.suite.num_samples
        if self.cost == "rows":
            ours, theirs = (num * evidence.rows_per_sample(task, row) for row in self.rows)
            return exact(evidence.training_rows(task, self.row)), exact(ours), exact(theirs)
        training = evidence.training_seconds(task, self.row)
        ours, theirs = (evidence.seconds(task, row, num) for row in self.rows)
        return (
            ratio_over_visits(training, 1.0, level),
            ratio_over_visits(ours, 1.0, level),
            ratio_over_visits(theirs, 1.0, level),
        )


@dataclass(frozen=True)
class Quicker(Pair):
    """Seconds of another row over those of a row, by the clock; training is left out."""

    num_samples: int = 64

    @property
    def statistic(self) -> str:
        return (
            f"Seconds of {self.num_samples} samples of one measurement by {self.other} over those by {self.row}, "
            "paired by visit of the clock"
        )

    def measure(self, evidence: Evidence, tasks: Sequence[str]) -> Effect:
        (task,) = tasks
        evidence.require(tasks, self.rows)
        ours, theirs = (evidence.seconds(task, row, self.num_samples) for row in self.rows)
        return Effect(ratio_over_visits(theirs, ours), f"{len(ours)} visits, training left out")


def total_rows(evidence: Evidence, task: str, row: str, num_measurements: int | None) -> float:
    """Return network rows per measurement, with its share of the training if `num_measurements` share that."""
    rows = evidence.suite.num_samples * evidence.rows_per_sample(task, row)
    return rows + (
        evidence.training_rows(task, row) / num_measurements if num_measurements else 0.0
    )


def scaled(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two rows `(n, s)` from values `(tasks, 2, n, s)`, averaged over tasks with equal weights.

    On each task both are divided by the mean of the two, which keeps their ratio, so that no task outweighs another.
    """
    scales = np.abs(values.mean((1, 2, 3), keepdims=True))
    one, other = (values / np.maximum(scales, 1e-12)).mean(0)
    return one, other


def by_task(values: np.ndarray, tasks: Sequence[str]) -> str:
    """Return text with the ratio on each task; "" for a single task."""
    if len(tasks) < 2:
        return ""
    means = values.mean((2, 3))
    ratios = [
        math.sqrt(max(one / other, 0)) if other > 0 else math.inf for one, other in means.tolist()
    ]
    return ", ".join(f"{ratio:.3g} on {task}" for task, ratio in zip(tasks, ratios, strict=True))


def _power(gain: float, dearer: float) -> float:
    """Return p with `dearer` ** p = `gain`; infinite unless the cost is higher (dearer > 1)."""
    log_gain = math.log(max(gain, 1e-6))
    return log_gain / math.log(dearer) if dearer > 1 else math.copysign(math.inf, log_gain)
