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
HARMONIC = "worth"  # begins the name of metrics whose reciprocals are averaged
LEVEL = 0.95


@dataclass(frozen=True)
class Spent:
    """Means over tasks of what one sample costs, and of the training that all samples share."""

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
        """Return the cost per sample at which the method reaches a quality; infinite where none of its rows does.

        Between two rows costs are interpolated in the logarithm, along the best quality so far.
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
    """From how many measurements on a trained row is cheaper than another method at the same quality.

    measurements: infinite where the other method is cheaper without training, too. bound: "at most" where the other
    method does not reach that quality at its largest budget, which stands in; "at least" where its cheapest row does.
    """

    row: str
    against: str
    measurements: float
    bound: str = ""


def curves(results: Results, metric: str, cost: Cost) -> list[Curve]:
    """Return the curve of each method over the tasks where most rows have numbers; rows that lack one are left out."""
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
    """Return the tasks where as many rows as on any task have numbers; none where there is no number."""
    counts = {
        task: sum(bool(_values(results, task, row, metric)) for row in results.methods)
        for task in results.tasks
    }
    most = max(counts.values(), default=0)
    return [task for task, count in counts.items() if count == most and most]


def _values(results: Results, task: str, row: str, metric: str) -> Mapping[int, tuple[float, ...]]:
    """Return the values of a row, none where it saw another prior than the one by whose posterior it is judged."""
    return results.values(task, row, metric) if results.is_ranked(task, row) else {}


def break_evens(curves: Sequence[Curve], num_samples: int) -> list[BreakEven]:
    """Return the break-even point of each trained row against each method without training. num_samples: of each y."""
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
    """Return the mean costs of a row over tasks; None where one is not known."""
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
    """Return the mean over tasks with the ends of its interval over measurements and seeds, which tasks share.

    A worth is averaged by its reciprocal, which is a relative error; an interval that contains no error ends at
    infinity.
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
    """Return the mean of values (n, s) and half of its interval: n measurements and s seeds are crossed factors.

    Two-way analysis of variance with Satterthwaite's degrees of freedom; with one seed Student's interval.
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
