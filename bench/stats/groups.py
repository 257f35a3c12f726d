"""Group the methods that are compared: on one task and metric, on equal measurements, without BASELINES.

All methods of a group have seen the prior whose posterior the metric is about (`TaskResults.compares`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bench.core.results import AT_BUDGET, BASELINES, REFERENCE
from bench.stats.results import Better, SuiteResults, TaskResults
from bench.stats.values import MetricValues, values_of_task

# share of the measurements that some method was tried on; a method with fewer is not compared
MIN_SHARE = 0.5


@dataclass(frozen=True)
class ComparisonGroup:
    """Losses `(n, s, k)` of k methods on n measurements with s seeds, in the metric's units.

    Where one method has a single seed and others have more, its values are repeated for each seed.

    A loss is the value, or its negative where higher is better; the smaller its mean, the better. For a harmonic metric
    (worth in exact draws), whose values are the reciprocals of errors, it is the error. Where the metric has a target
    (`signed`), it is value - target, and the smaller the absolute mean, the better. Only the mean over measurements has
    to meet the target: single measurements of a perfect sampler scatter around it (chi2_sample, coverage_x_true), so
    the mean of absolute values would reward less scatter than the truth has. Such a column does not detect a method
    that is too high on some measurements and too low on others.
    A failed measurement has the worst loss that any method has there.
    num_failed: (k,) failed measurements of each method.
    too_few: methods not compared -> on how many measurements they were tried.
    """

    task: str
    metric: str
    signed: bool
    methods: tuple[str, ...]
    losses: np.ndarray
    num_failed: tuple[int, ...]
    too_few: dict[str, int]

    @cached_property
    def distances(self) -> np.ndarray:
        """Return the mean loss of each method (k,), smaller is better."""
        mean = self.losses.mean((0, 1))
        return np.abs(mean) if self.signed else mean

    @cached_property
    def best(self) -> int:
        """Return the place of the method with the smallest distance among those with the fewest failures."""
        return int(np.lexsort((self.distances, np.array(self.num_failed)))[0])


def comparison_groups(suite: SuiteResults) -> list[ComparisonGroup]:
    """Return a group for each task and metric where a method has a value."""
    return suite.once("groups", lambda: _comparison_groups(suite))


def _comparison_groups(suite: SuiteResults) -> list[ComparisonGroup]:
    groups = []
    for task in suite.tasks:
        values = values_of_task(task, suite)
        for metric, better in task.better.items():
            of_metric = [
                values[m, metric]
                for m in (REFERENCE, *suite.methods)
                if (m, metric) in values and (m in BASELINES or task.compares(m, metric))
            ]
            group = _group(task, metric, _better(better, metric in task.harmonic), of_metric)
            groups += [group] if group else []
    return groups


def at_equal_budgets(group: ComparisonGroup) -> list[ComparisonGroup]:
    """Return the parts of a group whose rows have the same budget (`dps-b100`, `hmc-b100`), and the rest as one.

    It is the group itself unless two budgets or more are shared by two methods. Comparing all rows of a suite of
    budgets would make Holm's correction cover thousands of pairs that no reader compares.
    """
    rows = [*group.methods, *group.too_few]
    found = {row: match["budget"] for row in rows if (match := AT_BUDGET.match(row))}
    counts = Counter(found.get(row) for row in group.methods)
    shared = [budget for budget in counts if budget and counts[budget] > 1]
    if len(shared) < 2:
        return [group]
    part_of = {row: found.get(row) if found.get(row) in shared else None for row in rows}
    return [_part(group, [row for row in rows if part_of[row] == x]) for x in (*shared, None)]


def _part(group: ComparisonGroup, rows: Sequence[str]) -> ComparisonGroup:
    """Return a group of some of its rows."""
    places = [j for j, method in enumerate(group.methods) if method in rows]
    return replace(
        group,
        methods=tuple(group.methods[j] for j in places),
        losses=group.losses[..., places],
        num_failed=tuple(group.num_failed[j] for j in places),
        too_few={row: num for row, num in group.too_few.items() if row in rows},
    )


def _better(better: Better, is_harmonic: bool) -> Better:
    """Return which way losses are better: of a harmonic metric they are the reciprocals of its values."""
    return {"higher": "lower", "lower": "higher"}[str(better)] if is_harmonic else better


def _group(
    task: TaskResults, metric: str, better: Better, columns: Sequence[MetricValues]
) -> ComparisonGroup | None:
    compared = [column for column in columns if column.method not in BASELINES and column.measured]
    if not any(column.values for column in compared):
        return None
    nowhere = _without_numbers(compared)
    tried = {column.method: column.measured - nowhere for column in compared}
    enough = MIN_SHARE * max(map(len, tried.values()))
    kept = [column for column in compared if len(tried[column.method]) >= enough]
    others = [column for column in compared if len(tried[column.method]) < enough]
    common = sorted(frozenset.intersection(*(tried[column.method] for column in kept)))
    counts = (len(values) for column in kept for values in column.values.values())
    num_seeds = max(counts, default=0) if common else 0
    if not num_seeds:
        return None
    has_failed = any(column.failed for column in kept)
    worst = _worst(columns, better) if has_failed else {}
    losses = np.stack([_losses(column, common, num_seeds, better, worst) for column in kept], 2)
    names = tuple(column.method for column in kept)
    num_failed = tuple(len(column.failed.keys() & set(common)) for column in kept)
    too_few = {column.method: len(tried[column.method]) for column in others}
    return ComparisonGroup(
        task.name, metric, not isinstance(better, str), names, losses, num_failed, too_few
    )


def _without_numbers(columns: Sequence[MetricValues]) -> frozenset[int]:
    """Return the measurements that are n/a for some methods and have no number of any: failing there says nothing.

    A ratio to a posterior that is nearly one image is n/a there, and the cells of a method that failed say that it did.
    """
    skipped = frozenset(i for column in columns for i in column.skipped)
    return skipped.difference(*(column.values for column in columns))


def _loss(value: float, better: Better) -> float:
    if isinstance(better, str):
        return value if better == "lower" else -value
    return value - better


def _worst(columns: Iterable[MetricValues], better: Better) -> dict[int | None, float]:
    """Return the worst loss of any method (for a target, distance from it) on each measurement; under None, of all."""
    worst: dict[int | None, float] = {}
    for column in columns:
        for i, values in column.compared.items():
            losses = [_loss(value, better) for value in values]
            badness = losses if isinstance(better, str) else [abs(loss) for loss in losses]
            for key in (i, None):
                worst[key] = max(worst.get(key, -math.inf), *badness)
    return worst


def _losses(
    column: MetricValues,
    measurements: Sequence[int],
    num_seeds: int,
    better: Better,
    worst: dict[int | None, float],
) -> np.ndarray:
    """Return losses `(n, s)`; a failure gets the sign of the method's other losses."""
    compared = column.compared
    if len(compared) == len(measurements) and not column.failed:
        values = np.array([compared[i] for i in measurements])
        known = -values if better == "higher" else values if better == "lower" else values - better
        return np.repeat(known, num_seeds // known.shape[1], 1)
    known = [_loss(value, better) for values in compared.values() for value in values]
    side = -1 if not isinstance(better, str) and sum(known) < 0 else 1
    rows = []
    for i in measurements:
        if i in compared:
            values = [_loss(value, better) for value in compared[i]]
            rows.append(values * num_seeds if len(values) == 1 else values)
        else:
            rows.append([side * worst.get(i, worst[None])] * num_seeds)
    return np.array(rows)
