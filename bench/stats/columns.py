"""What became of every measurement under one method and metric: a value per seed, or a reason why there is none."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.stats.results import REFERENCE, Score, Suite, Task, in_words

LEFT_OUT = "n/a (left out by the suite)"


@dataclass(frozen=True)
class Column:
    """Values (one per seed), failures and gaps of one method and metric, by measurement."""

    method: str
    metric: str
    values: dict[int, tuple[float, ...]]
    failed: dict[int, str]
    skipped: dict[int, str]

    @property
    def measured(self) -> frozenset[int]:
        """The measurements that the method was tried on."""
        return frozenset(self.values) | frozenset(self.failed)

    @property
    def reason(self) -> str:
        """Why there is no mean, or over which part of the measurements it is; "" for one over all."""
        if self.failed:
            return _failure(list(self.failed.values()), len(self.measured))
        why_not = "; ".join(dict.fromkeys(self.skipped.values()))
        if not self.values or not self.skipped:
            return why_not
        return f"over {len(self.values)} of {len(self.values) + len(self.skipped)} measurements: {why_not}"

    def array(self) -> np.ndarray:
        """The values `(n, s)` in the order of the measurements."""
        return np.array([self.values[i] for i in sorted(self.values)])


def task_columns(task: Task, suite: Suite) -> dict[tuple[str, str], Column]:
    """A column for the reference and each method of the suite, and for each metric that any task of the suite has."""
    metrics = dict.fromkeys(score.metric for other in suite.tasks for score in other.scores)
    cells: dict[tuple[str, str], dict[int, list[Score]]] = defaultdict(lambda: defaultdict(list))
    for score in task.scores:
        cells[score.method, score.metric][score.observation].append(score)
    keys = [(method, metric) for method in (REFERENCE, *suite.methods) for metric in metrics]
    return {key: _column(key, task, cells[key], suite) for key in keys}


def _column(key: tuple[str, str], task: Task, scores: dict[int, list[Score]], suite: Suite) -> Column:
    method, metric = key
    measurements = range(suite.num_measurements)
    if method in task.left_out:
        return Column(method, metric, {}, {}, dict.fromkeys(measurements, LEFT_OUT))
    num_seeds = 1 if method == REFERENCE else len(suite.seeds)
    values, failed, skipped = {}, {}, {}
    for i in measurements:
        found = scores.get(i, [])
        reason = _why_not(found, num_seeds)
        if reason is None:
            values[i] = tuple(score.value for score in sorted(found, key=lambda score: score.seed))
        else:
            (skipped if reason.startswith("n/a") else failed)[i] = reason
    return Column(method, metric, values, failed, skipped)


def _why_not(scores: Sequence[Score], num_seeds: int) -> str | None:
    """The first reason among the seeds of one measurement why it has no value; None when it has one."""
    if len(scores) != num_seeds:
        return "failed (not in metrics.csv)"
    for score in scores:
        if score.value is None:
            return in_words("failed", score.reason)
        if not math.isfinite(score.value):
            return "failed (value is not finite)"
    return None


def _failure(failed: Sequence[str], num_tried: int) -> str:
    if len(failed) == num_tried and len(set(failed)) == 1:
        return failed[0]
    first = failed[0].removeprefix("failed (").removesuffix(")")
    return f"failed ({len(failed)} of {num_tried} measurements: {first})"
