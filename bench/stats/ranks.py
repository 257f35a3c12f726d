"""Mean ranks of the methods over tasks, and by how much they have to differ to mean anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from bench.stats.contests import Contest, contests
from bench.stats.inference import ALPHA, critical_difference, mean_interval
from bench.stats.results import Suite

METRICS = ("sw2-128", "mean_error", "diversity_ratio", "coverage_exact@0.9")
MIN_TASKS = 0.5  # share of the tasks that a method has to have run on to be ranked


@dataclass(frozen=True)
class Ranking:
    """Methods from best to worst by mean rank over the tasks where all of them ran; rank 1 is best.

    low, high: 95 % intervals over tasks, within the possible ranks; None for a single task.
    critical: ranks that differ by more are told apart (5 % over all pairs).
    not_counted: tasks where some ranked method did not run. not_ranked: methods -> number of tasks they ran on.
    """

    metric: str
    methods: tuple[str, ...]
    mean: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    critical: float
    tasks: tuple[str, ...]
    not_counted: tuple[str, ...]
    not_ranked: dict[str, int]

    @property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """Longest runs (first, last) of neighbours that are not told apart."""
        found: list[tuple[int, int]] = []
        for first, mean in enumerate(self.mean):
            last = max(j for j, other in enumerate(self.mean) if other - mean <= self.critical + 1e-9)
            if last > first and (not found or last > found[-1][1]):
                found.append((first, last))
        return tuple(found)

    @property
    def num_tasks(self) -> int:
        """Tasks with a number in the metric, counted or not."""
        return len(self.tasks) + len(self.not_counted)

    @property
    def can_tell(self) -> bool:
        """Whether any difference of mean ranks is large enough."""
        return self.critical < len(self.methods) - 1


def rankings(suite: Suite, metrics: Sequence[str] = METRICS) -> list[Ranking]:
    """One for each metric in which two methods or more can be ranked."""
    of_suite = contests(suite)
    found = (_ranking(metric, [contest for contest in of_suite if contest.metric == metric]) for metric in metrics)
    return [ranking for ranking in found if ranking]


def _ranking(metric: str, tasks: Sequence[Contest]) -> Ranking | None:
    ran = Counter(method for contest in tasks for method in contest.methods)
    ranked = [method for method, count in ran.items() if count >= MIN_TASKS * len(tasks)]
    counted = [contest for contest in tasks if set(ranked) <= set(contest.methods)]
    if len(ranked) < 2 or not counted:
        return None
    ranks = np.array([_ranks(contest, ranked) for contest in counted])
    order = np.argsort(ranks.mean(0), kind="stable")
    mean, low, high = np.clip(mean_interval(ranks[:, order], 1 - ALPHA), 1, len(ranked))
    tried = Counter(method for contest in tasks for method in (*contest.methods, *contest.too_few))
    return Ranking(
        metric,
        tuple(ranked[j] for j in order),
        tuple(mean.tolist()),
        tuple(None if np.isnan(end) else end for end in low.tolist()),
        tuple(None if np.isnan(end) else end for end in high.tolist()),
        critical_difference(len(ranked), len(counted)),
        tuple(contest.task for contest in counted),
        tuple(contest.task for contest in tasks if contest not in counted),
        {method: count for method, count in tried.items() if method not in ranked},
    )


def _ranks(contest: Contest, methods: Sequence[str]) -> np.ndarray:
    """Ranks of the methods on one task by distance of the mean; who failed anywhere is last."""
    places = [contest.methods.index(method) for method in methods]
    failed = np.array(contest.num_failed)[places]
    return rankdata(np.where(failed > 0, np.inf, contest.distances[places]))
