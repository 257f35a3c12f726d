"""Values of every measurement under one method and metric: one per seed, or a reason why there is none."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.core.results import LEFT_OUT, REFERENCE
from bench.stats.results import SuiteResults, TaskResults, format_reason
from bench.stats.scores import Key, Score, ScoreTable, metrics_of

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


class TaskValues(Mapping[Key, MetricValues]):
    """Values by (method, metric), each gathered from the scores of a task when it is first asked for."""

    def __init__(self, task: TaskResults, suite: SuiteResults) -> None:
        self._task, self._suite = task, suite
        metrics = suite.once("metrics", lambda: _metrics(suite))
        self._keys = [(method, name) for method in (REFERENCE, *suite.methods) for name in metrics]
        self._known: dict[Key, MetricValues | None] = dict.fromkeys(self._keys)
        self._own = frozenset(metrics_of(task.scores))

    def __getitem__(self, key: Key) -> MetricValues:
        known = self._known[key]
        if known is None:
            known = self._known[key] = self._gathered(key)
        return known

    def __contains__(self, key: object) -> bool:
        return key in self._known

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def _gathered(self, key: Key) -> MetricValues:
        measurements = range(self._suite.num_measured(self._task))
        if key[1] not in self._own:
            return MetricValues(*key, {}, {}, dict.fromkeys(measurements, ELSEWHERE))
        if key[0] in self._task.left_out:
            return MetricValues(*key, {}, {}, dict.fromkeys(measurements, LEFT_OUT))
        num_seeds = 1 if key[0] == REFERENCE else len(self._suite.seeds_of(key[0]))
        is_harmonic = key[1] in self._task.harmonic
        scores = self._task.scores
        if isinstance(scores, ScoreTable):
            places = scores.places.get(key, np.empty(0, int))
            table = _complete(scores, places, num_seeds, len(measurements))
            if table is not None:
                return MetricValues(*key, table, {}, {}, is_harmonic)
            return _metric_values(key, measurements, scores.at(places), num_seeds, is_harmonic)
        return _metric_values(key, measurements, self._by_key[key], num_seeds, is_harmonic)

    @cached_property
    def _by_key(self) -> dict[Key, list[Score]]:
        found: dict[Key, list[Score]] = defaultdict(list)
        for score in self._task.scores:
            found[score.method, score.metric].append(score)
        return found


def values_of_task(task: TaskResults, suite: SuiteResults) -> Mapping[Key, MetricValues]:
    """Return values by (method, metric): the reference and each method, each metric that any task of the suite has."""
    return suite.once_of(task, "values", lambda: TaskValues(task, suite))


def _metrics(suite: SuiteResults) -> dict[str, None]:
    return dict.fromkeys(metric for task in suite.tasks for metric in metrics_of(task.scores))


def _complete(
    scores: ScoreTable, places: np.ndarray, num_seeds: int, num_measurements: int
) -> dict[int, tuple[float, ...]] | None:
    """Return the values of each measurement, where every seed has all in their order; else None."""
    if len(places) != num_seeds * num_measurements:
        return None
    shape = (num_seeds, num_measurements)
    values, seeds, which = (
        column[places].reshape(shape) for column in (scores.value, scores.seed, scores.measurement)
    )
    in_order = (which == np.arange(num_measurements)).all() and (seeds == seeds[:, :1]).all()
    if not (in_order and (np.diff(seeds[:, 0]) > 0).all() and np.isfinite(values).all()):
        return None
    return dict(enumerate(map(tuple, values.T.tolist())))


def _metric_values(
    key: Key,
    measurements: Sequence[int],
    scores: Iterable[Score],
    num_seeds: int,
    is_harmonic: bool,
) -> MetricValues:
    """Return the values of a method and a metric, or for each measurement the reason why it has none."""
    of_each: dict[int, list[Score]] = defaultdict(list)
    for score in scores:
        if score.measurement is not None:
            of_each[score.measurement].append(score)
    values: dict[int, tuple[float, ...]] = {}
    failed: dict[int, str] = {}
    skipped: dict[int, str] = {}
    for i in measurements:
        found = of_each.get(i, [])
        reason = _why_not(found, num_seeds)
        if reason is None:
            in_order = found if num_seeds == 1 else sorted(found, key=lambda score: score.seed)
            values[i] = tuple([score.value for score in in_order if score.value is not None])
        else:
            (skipped if reason.startswith("n/a") else failed)[i] = reason
    return MetricValues(*key, values, failed, skipped, is_harmonic)


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
