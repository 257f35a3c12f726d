"""Mean ranks of the methods over tasks, and by how much they have to differ to mean anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from bench.core.results import DISTANCE, Ranking
from bench.stats.groups import ComparisonGroup, comparison_groups
from bench.stats.inference import ALPHA, critical_difference, mean_interval
from bench.stats.results import SuiteResults

METRICS = (DISTANCE, "mean_error", "diversity_ratio", "coverage_exact@0.9")
MIN_TASKS = 0.5  # share of the tasks that a method has to have run on to be ranked


def rankings(suite: SuiteResults, metrics: Sequence[str] = METRICS) -> list[Ranking]:
    """Return a ranking for each metric in which two methods or more can be ranked."""
    groups = comparison_groups(suite)
    of_metrics = (
        _ranking(metric, [group for group in groups if group.metric == metric])
        for metric in metrics
    )
    return [ranking for ranking in of_metrics if ranking]


def _ranking(metric: str, tasks: Sequence[ComparisonGroup]) -> Ranking | None:
    ran = Counter(method for group in tasks for method in group.methods)
    ranked = [method for method, count in ran.items() if count >= MIN_TASKS * len(tasks)]
    counted = [group for group in tasks if set(ranked) <= set(group.methods)]
    if len(ranked) < 2 or not counted:
        return None
    ranks = np.array([_ranks(group, ranked) for group in counted])
    order = np.argsort(ranks.mean(0), kind="stable")
    mean, low, high = np.clip(mean_interval(ranks[:, order], 1 - ALPHA), 1, len(ranked))
    tried = Counter(method for group in tasks for method in (*group.methods, *group.too_few))
    return Ranking(
        metric,
        tuple(ranked[j] for j in order),
        tuple(mean.tolist()),
        tuple(None if np.isnan(end) else end for end in low.tolist()),
        tuple(None if np.isnan(end) else end for end in high.tolist()),
        critical_difference(len(ranked), len(counted)),
        tuple(group.task for group in counted),
        tuple(group.task for group in tasks if group not in counted),
        {method: count for method, count in tried.items() if method not in ranked},
    )


def _ranks(group: ComparisonGroup, methods: Sequence[str]) -> np.ndarray:
    """Return the ranks of the methods on one task by distance of the mean; one that failed anywhere is last."""
    places = [group.methods.index(method) for method in methods]
    failed = np.array(group.num_failed)[places]
    return rankdata(np.where(failed > 0, np.inf, group.distances[places]))
