"""Values of every measurement under one method and metric: one per seed, or a reason why there is none."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.results import LEFT_OUT, REFERENCE
from bench.stats.results import Score, SuiteResults, TaskResults, format_reason

ELSEWHERE = "n/a (a column of other tasks)"


@dataclass(frozen=True)
class MetricValues:
    """Values (one per seed), failures and gaps of one method and metric, by measurement.

    is_harmonic: whether values are the reciprocals of errors, which are then averaged and compared.
    """

    method: str
    metric: str
    values: dict[int, tuple[float, ...]]
    failed: dict[int, str]
    skipped: dict[int, str]
    is_harmonic: bool = False

    @property
    def measured(self) -> frozenset[int]:
        """Return the measurements that the method was tried on."""
        return frozenset(self.values) | frozenset(self.failed)

    @property
    def reason(self) -> str:
        """Return why there is no mean, or over which part of the measurements it is; "" for one over all."""
        if self.failed:
            return _format_failures(list(self.failed.values()), len(self.measured))
        why_not = "; ".join(dict.fromkeys(self.skipped.values()))
        if not self.values or not self.skipped:
            return why_not
        return f"over {len(self.values)} of {len(self.values) + len(self.skipped)} measurements: {why_not}"

    @property
    def compared(self) -> dict[int, tuple[float, ...]]:
        """Return the numbers that are averaged and compared: the values, or their reciprocals if it is harmonic."""
        if not self.is_harmonic:
            return self.values
        return {i: tuple(1 / value for value in values) for i, values in self.values.items()}

    def array(self) -> np.ndarray:
        """Return `compared` as `(n, s)`, in the order of the measurements."""
        compared = self.compared
        return np.array([compared[i] for i in sorted(compared)])


def values_of_task(task: TaskResults, suite: SuiteResults) -> dict[tuple[str, str], MetricValues]:
    """Return values by (method, metric): the reference and each method, each metric that any task of the suite has."""
    if not any(task is other for other in suite.tasks):
        return _values_of_task(task, suite)
    return suite.once(("values", id(task)), lambda: _values_of_task(task, suite))


def _values_of_task(task: TaskResults, suite: SuiteResults) -> dict[tuple[str, str], MetricValues]:
    metrics = suite.once("metrics", lambda: _metrics(suite))
    scores: dict[tuple[str, str], dict[int, list[Score]]] = defaultdict(lambda: defaultdict(list))
    for score in task.scores:
        if score.measurement is not None:
            scores[score.method, score.metric][score.measurement].append(score)
    own = {metric for _, metric in scores}
    keys = [(method, metric) for method in (REFERENCE, *suite.methods) for metric in metrics]
    return {
        key: _metric_values(key, task, scores[key], suite)
        if key[1] in own
        else MetricValues(*key, {}, {}, dict.fromkeys(range(suite.num_measured(task)), ELSEWHERE))
        for key in keys
    }


def _metrics(suite: SuiteResults) -> dict[str, None]:
    return dict.fromkeys(score.metric for task in suite.tasks for score in task.scores)


def _metric_values(
    key: tuple[str, str], task: TaskResults, scores: dict[int, list[Score]], suite: SuiteResults
) -> MetricValues:
    method, metric = key
    measurements = range(suite.num_measured(task))
    if method in task.left_out:
        return MetricValues(method, metric, {}, {}, dict.fromkeys(measurements, LEFT_OUT))
    is_harmonic = metric in task.harmonic
    num_seeds = 1 if method == REFERENCE else len(suite.seeds_of(method))
    values: dict[int, tuple[float, ...]] = {}
    failed: dict[int, str] = {}
    skipped: dict[int, str] = {}
    for i in measurements:
        found = scores.get(i, [])
        reason = _why_not(found, num_seeds)
        if reason is None:
            in_order = found if num_seeds == 1 else sorted(found, key=lambda score: score.seed)
            values[i] = tuple([score.value for score in in_order if score.value is not None])
        else:
            (skipped if reason.startswith("n/a") else failed)[i] = reason
    return MetricValues(method, metric, values, failed, skipped, is_harmonic)


def _why_not(scores: Sequence[Score], num_seeds: int) -> str | None:
    """Return the first reason among the seeds of one measurement why it has no value; None when it has one."""
    if len(scores) != num_seeds:
        return "failed (not in metrics.csv)"
    for score in scores:
        if score.value is None:
            return format_reason("failed", score.reason)
        if not math.isfinite(score.value):
            return "failed (value is not finite)"
    return None


def _format_failures(failed: Sequence[str], num_tried: int) -> str:
    if len(failed) == num_tried and len(set(failed)) == 1:
        return failed[0]
    first = failed[0].removeprefix("failed (").removesuffix(")")
    return f"failed ({len(failed)} of {num_tried} measurements: {first})"
