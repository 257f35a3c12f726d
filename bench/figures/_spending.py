"""Cost and worth of the rows of a suite at stated budgets (`dps-b100`), and break-even points of trained methods."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.core.results import AT_BUDGET, BASELINES, Results

Cost = Literal["rows", "seconds"]
HARMONIC = "worth"  # the prefix of metrics whose reciprocals are averaged
LEVEL = 0.95


@dataclass(frozen=True)
class Spent:
    """The cost of one sample without training, and of the training that all samples share; means over tasks."""

    sampling: float
    training: float

    def per_sample(self, num_samples: int) -> float:
        return self.sampling + self.training / num_samples


@dataclass(frozen=True)
class Point:
    """A row of the suite: its quality, the mean over tasks with its 95 % interval, and its cost."""

    row: str
    spent: Spent
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """The rows of one method, cheapest first. higher_is_better: whether more of the metric is better."""

    method: str
    points: tuple[Point, ...]
    higher_is_better: bool

    @property
    def is_trained(self) -> bool:
        return any(point.spent.training > 0 for point in self.points)

    def cost_of(self, quality: float, num_samples: int) -> float:
        """Return the cost per sample at which the method reaches a quality; infinite if none of its rows reaches it.

        Between two rows the logarithm of the cost is interpolated linearly in the best quality so far.
        """
        sign = 1 if self.higher_is_better else -1
        best, cost = -math.inf, 0.0
        for point in sorted(self.points, key=lambda point: point.spent.per_sample(num_samples)):
            reached, next_cost = sign * point.mean, point.spent.per_sample(num_samples)
            if reached >= sign * quality:
                if not math.isfinite(best) or not cost or not next_cost:
                    return next_cost
                share = (sign * quality - best) / (reached - best)
                return cost * (next_cost / cost) ** share
            if reached > best:
                best, cost = reached, next_cost
        return math.inf


@dataclass(frozen=True)
class BreakEven:
    """The number of measurements from which a trained row is cheaper than another method at the same quality.

    measurements: infinite where the other method is cheaper even without the cost of training. bound: "at most" where
    the other method does not reach that quality, so that its largest budget is taken instead; "at least" where its
    cheapest row already reaches it.
    """

    row: str
    against: str
    measurements: float
    bound: str = ""


def curves(results: Results, metric: str, cost: Cost) -> list[Curve]:
    """Return the curve of each method, with means over `tasks_of_most`; rows without a number on one are left out."""
    methods: dict[str, list[Point]] = defaultdict(list)
    tasks = tasks_of_most(results, metric)
    for row in results.methods:
        of_tasks = [_values(results, task, row, metric) for task in tasks]
        spent = (
            _spent(results, tasks, row, cost)
            if tasks and row not in BASELINES and all(of_tasks)
            else None
        )
        if spent is not None:
            point = Point(row, spent, *_mean_over_tasks(of_tasks, metric))
            methods[AT_BUDGET.sub(r"\g<method>", row)].append(point)
    higher = metric.startswith(HARMONIC)
    return [Curve(method, tuple(points), higher) for method, points in methods.items()]


def tasks_of_most(results: Results, metric: str) -> list[str]:
    """Return the tasks with the largest number of rows that have values; none if there is no value at all."""
    counts = {
        task: sum(bool(_values(results, task, row, metric)) for row in results.methods)
        for task in results.tasks
    }
    most = max(counts.values(), default=0)
    return [task for task, count in counts.items() if count == most and most]


def _values(results: Results, task: str, row: str, metric: str) -> Mapping[int, tuple[float, ...]]:
    """Return the values of a row; none if it saw another prior than the one whose posterior it is compared with."""
    return results.values(task, row, metric) if results.is_ranked(task, row) else {}


def break_evens(curves: Sequence[Curve], num_samples: int) -> list[BreakEven]:
    """Return the break-even point of each trained row with each untrained method. num_samples: per measurement."""
    found = []
    for curve in curves:
        for other in curves:
            if curve.is_trained and not other.is_trained:
                found += [_break_even(point, other, num_samples) for point in curve.points]
    return found


def _break_even(point: Point, other: Curve, num_samples: int) -> BreakEven:
    costs = [x.spent.sampling for x in other.points]
    cost = other.cost_of(point.mean, 1)
    bound = "at least" if cost <= min(costs) else "" if math.isfinite(cost) else "at most"
    saved = min(cost, max(costs)) - point.spent.sampling
    measurements = point.spent.training / (num_samples * saved) if saved > 0 else math.inf
    return BreakEven(point.row, other.method, measurements, bound)


def _spent(results: Results, tasks: Iterable[str], row: str, cost: Cost) -> Spent | None:
    """Return the mean costs of a row over tasks; None if one of them is unknown."""
    names = {
        "rows": (("nfe", "nfe_vjp"), ("train_nfe", "train_nfe_vjp")),
        "seconds": (("seconds_per_sample",), ("train_seconds",)),
    }[cost]
    totals = []
    for task in tasks:
        lines = [[results.line(task, row, name) for name in part] for part in names]
        means = [[line.mean for line in part if line and line.mean is not None] for part in lines]
        if [len(part) for part in means] != [len(part) for part in names]:
            return None
        totals.append([sum(part) for part in means])
    return Spent(*np.mean(totals, 0).tolist())


def _mean_over_tasks(
    of_tasks: Sequence[Mapping[int, Sequence[float]]], metric: str
) -> tuple[float, float, float]:
    """Return the mean over tasks, and the ends of its interval over measurements and seeds, which tasks share.

    A worth is averaged by its reciprocal, a relative error; where the interval of that error contains 0, the interval
    of the worth ends at infinity.
    """
    harmonic = metric.startswith(HARMONIC)
    shared = sorted(set.intersection(*(set(values) for values in of_tasks)))
    values = [[_each(values[i], harmonic) for values in of_tasks] for i in shared]
    if not values:
        return math.nan, math.nan, math.nan
    mean, half = _crossed(np.array(values).mean(1))
    if not harmonic:
        return mean, mean - half, mean + half
    low, centre, high = (1 / x if x > 0 else math.inf for x in (mean + half, mean, mean - half))
    return centre, low, high


def _crossed(values: np.ndarray) -> tuple[float, float]:
    """Return the mean of values (n, s) and half of its interval, with n measurements and s seeds as crossed factors.

    The interval is that of a two-way analysis of variance with Satterthwaite's degrees of freedom; with one seed it is
    Student's.
    """
    from scipy.stats import t

    n, s = values.shape
    if n < 2:
        return float(values.mean()), math.nan
    of_rows, of_columns = values.mean(1), values.mean(0)
    parts = [(of_rows.var(ddof=1) / n, n - 1)]
    if s > 1:
        rest = values - of_rows[:, None] - of_columns + values.mean()
        left = (rest**2).sum() / ((n - 1) * (s - 1)) / (n * s)
        parts += [(max(of_columns.var(ddof=1) / s - left, 0.0), s - 1)]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / df for part, df in parts) if variance else 1.0
    return float(values.mean()), float(t.ppf((1 + LEVEL) / 2, freedom) * variance**0.5)


def _each(seeds: Sequence[float], harmonic: bool) -> list[float]:
    return [(1 / value if value else math.inf) if harmonic else value for value in seeds]
