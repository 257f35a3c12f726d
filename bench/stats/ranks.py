"""Mean ranks of the methods over tasks, and the differences between them that are not due to chance.

Not every method runs on every task. A rank is one plus the number of methods that are better (ties count one half), so
the mean rank of a method is one plus, summed over the other methods, the share of tasks where that one is better. Each
share is taken over the tasks where both ran. Where all methods run everywhere these are the usual mean ranks, and a
method that runs on few tasks changes nothing between the others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.special import stdtrit
from scipy.stats import rankdata

from bench.core.results import AT_BUDGET, DISTANCE, Ranking
from bench.stats.groups import ComparisonGroup, at_equal_budgets, comparison_groups
from bench.stats.inference import ALPHA, critical_difference
from bench.stats.results import SuiteResults

METRICS = (DISTANCE, "mean_error", "diversity_ratio", "coverage_exact@0.9")
MIN_TASKS = 0.5  # share of the tasks that a method has to have run on to be ranked
NUM_DRAWS = 10_000  # random rankings behind a critical difference


def rankings(suite: SuiteResults, metrics: Sequence[str] = METRICS) -> list[Ranking]:
    """Return a ranking for each metric in which two methods or more can be ranked.

    Where rows are compared at equal budgets (`at_equal_budgets`), a ranking for each budget.
    """
    groups, found = comparison_groups(suite), []
    for metric in metrics:
        parts: dict[str, list[ComparisonGroup]] = defaultdict(list)
        for group in groups:
            if group.metric == metric:
                for part in at_equal_budgets(group):
                    parts[_budget_of(part, group)].append(part)
        found += [_ranking(metric, tasks, budget) for budget, tasks in parts.items()]
    return [ranking for ranking in found if ranking]


def _budget_of(part: ComparisonGroup, group: ComparisonGroup) -> str:
    """Return the budget of all rows of a part of a group, "" for the group itself and for rows without one."""
    match = AT_BUDGET.match(part.methods[0]) if part.methods and part is not group else None
    return match["budget"] if match else ""


def _ranking(metric: str, tasks: Sequence[ComparisonGroup], budget: str) -> Ranking | None:
    ran = Counter(method for group in tasks for method in group.methods)
    ranked = _with_common_tasks(
        [method for method, count in ran.items() if count >= MIN_TASKS * len(tasks)], tasks
    )
    counted = [group for group in tasks if len(set(ranked) & set(group.methods)) > 1]
    if len(ranked) < 2 or not counted:
        return None
    distances = np.array([_distances(group, ranked) for group in counted])
    mean, low, high = _mean_ranks(distances)
    order = np.argsort(mean, kind="stable")
    tried = Counter(method for group in tasks for method in (*group.methods, *group.too_few))
    has_run = ~np.isnan(distances)
    return Ranking(
        metric,
        tuple(ranked[j] for j in order),
        tuple(mean[order].tolist()),
        tuple(None if np.isnan(end) else end for end in low[order].tolist()),
        tuple(None if np.isnan(end) else end for end in high[order].tolist()),
        _critical(has_run),
        tuple(has_run.sum(0)[order].tolist()),
        tuple(group.task for group in counted),
        tuple(group.task for group in tasks if group not in counted),
        {method: count for method, count in tried.items() if method not in ranked},
        budget,
    )


def _with_common_tasks(methods: Sequence[str], tasks: Sequence[ComparisonGroup]) -> list[str]:
    """Return the methods, except those that share no task with a method that ran on more tasks."""
    where = {m: {group.task for group in tasks if m in group.methods} for m in methods}
    kept: list[str] = []
    for method in sorted(methods, key=lambda m: -len(where[m])):
        if all(where[method] & where[other] for other in kept):
            kept.append(method)
    return [method for method in methods if method in kept]


def _distances(group: ComparisonGroup, methods: Sequence[str]) -> np.ndarray:
    """Return the distance of each method's mean on one task, inf where it failed anywhere, NaN where it did not run."""
    distances = np.full(len(methods), np.nan)
    for j, method in enumerate(methods):
        if method in group.methods:
            place = group.methods.index(method)
            distances[j] = np.inf if group.num_failed[place] else group.distances[place]
    return distances


def _mean_ranks(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean ranks (k,) from distances (tasks, k) with NaN, and their 95 % intervals over tasks.

    By the jackknife over tasks with Student's t, which without gaps is Student's interval of the mean.
    """
    num_tasks, num_methods = distances.shape
    common = np.asarray(~np.isnan(distances), float)
    common = common.T @ common
    losses = np.array([_losses(row) for row in distances])  # (tasks, k, k): whether j beats i
    total = losses.sum(0)
    mean = 1 + (total / common).sum(1) - 0.5  # a method ties with itself
    if num_tasks < 2:
        return mean, np.full(num_methods, np.nan), np.full(num_methods, np.nan)
    both = ~np.isnan(distances)
    left = common - (both[:, :, None] & both[:, None, :])
    # a pair that has one task in common keeps its share: nothing else is known of it
    shares = np.where(left > 0, (total - losses) / np.maximum(left, 1), total / common)
    without = 1 + shares.sum(2) - 0.5
    error = np.sqrt((num_tasks - 1) / num_tasks * ((without - without.mean(0)) ** 2).sum(0))
    width = stdtrit(num_tasks - 1, 1 - ALPHA / 2) * error
    return mean, np.clip(mean - width, 1, num_methods), np.clip(mean + width, 1, num_methods)


def _losses(distances: np.ndarray) -> np.ndarray:
    """Return (k, k) of one task: 1 where j is better than i, 1/2 where they tie, 0 elsewhere and where one is NaN."""
    ranks = np.where(np.isnan(distances), np.nan, rankdata(distances, nan_policy="omit"))
    difference = ranks[:, None] - ranks[None, :]
    return np.nan_to_num((np.sign(difference) + 1) / 2)


def _critical(has_run: np.ndarray) -> float:
    """Return the critical difference of mean ranks of this design (tasks, k): which methods ran where."""
    if has_run.all():
        return critical_difference(has_run.shape[1], has_run.shape[0])
    return _critical_of(tuple(map(tuple, has_run.tolist())))


@cache
def _critical_of(design: tuple[tuple[bool, ...], ...]) -> float:
    """Return the difference that any pair exceeds with probability ALPHA at most under random rankings on each task."""
    has_run = np.array(design)
    weights = 1 / np.maximum(has_run.T.astype(float) @ has_run, 1)
    rng, sums = np.random.default_rng(0), np.zeros((NUM_DRAWS, has_run.shape[1]))
    for row in has_run:
        places = np.flatnonzero(row)
        ranks = rng.permuted(np.tile(np.arange(len(places)), (NUM_DRAWS, 1)), axis=1)
        beaten = ranks[:, :, None] > ranks[:, None, :]
        sums[:, places] += np.einsum("nij,ij->ni", beaten, weights[np.ix_(places, places)])
    return float(np.quantile(np.ptp(sums, axis=1), 1 - ALPHA, method="higher"))
