"""From values per measurement to a mean with an interval, or to the reason why there is none."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from bench.report.results import REFERENCE, Run, Score, Suite, Task, in_words, num_measured
from bench.report.sets import set_lines
from bench.report.text import csv_text

LEVEL = 0.99  # tables of a dozen tasks are read side by side: at 95 % every other one would miss the truth somewhere
INTERVAL = (
    f"{100 * LEVEL:.0f} % bootstrap-t interval, clustered by measurement, on neither side narrower than Student's t "
    "(fewer than 8 measurements: Student's t alone)"
)
COSTS = {
    "nfe": "rows through the prior's network per posterior sample, forward; low and high are the range over seeds",
    "nfe_vjp": "rows through the prior's network per posterior sample, backward; low and high are the range over seeds",
    "seconds_per_sample": "seconds of the sampling job over the number of its samples, on the threads and device in "
    "cost.json; a rough figure; low and high are the range over seeds",
    "train_seconds": "seconds of the training job, paid once for all measurements of a task, 0 for a method without "
    "one; a rough figure like seconds_per_sample; low and high are the range over seeds",
    "train_nfe": "rows through the prior's network forward in the whole of that training, 0 for a method without one; "
    "what a method trains anew for each measurement counts in nfe; low and high are the range over seeds",
}
LEFT_OUT = "n/a (left out by the suite)"


@dataclass(frozen=True)
class Summary:
    """One line of summary.csv: a mean with its interval, or a reason why there is none."""

    task: str
    method: str
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    num_failed: int
    reason: str


def mean_interval(values: np.ndarray, level: float = 0.95, num_resamples: int = 4000) -> tuple[np.ndarray, ...]:
    """Mean of each column of `values` (n, k) with the ends of its confidence interval, each (k,).

    Bootstrap-t (Efron and Tibshirani 1993, chapter 12): 16 measurements are too few for percentiles of resampled means,
    whose nominal 95 % cover 90 % to 92 %. On each side at least as wide as Student's t, which keeps columns with
    many ties honest; below 8 rows resamples repeat too often and Student's t stands alone. The resamples are fixed, so
    equal values give equal intervals. One row has no interval: both ends are NaN.
    """
    num = len(values)
    mean = values.mean(0)
    if num == 1:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    centred = values - mean
    error = centred.std(0, ddof=1) / math.sqrt(num)
    student = stdtrit(num - 1, 0.5 + level / 2)
    if num < 8:
        return mean, mean - student * error, mean + student * error
    weights = np.random.default_rng(0).multinomial(num, np.full(num, 1 / num), size=num_resamples) / num
    shift = weights @ centred
    spread = np.sqrt(np.maximum(weights @ centred**2 - shift**2, 0) / (num - 1))
    ratio = np.divide(shift, spread, out=np.zeros_like(shift), where=spread > 1e-6 * error)
    below, above = np.quantile(ratio, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return mean, mean - np.maximum(above, student) * error, mean - np.minimum(below, -student) * error


def summarise(suite: Suite) -> list[Summary]:
    """A line for every task, every configured method and the reference, and every metric and cost."""
    metrics = list(dict.fromkeys(score.metric for task in suite.tasks for score in task.scores))
    of_measurements = [line for task in suite.tasks for line in _summarise_task(task, suite, metrics)]
    of_sets = [Summary(task.name, *line) for task in suite.tasks for line in set_lines(task, suite.methods)]
    return of_measurements + of_sets


def summary_csv(lines: Iterable[Summary]) -> str:
    """The text of summary.csv."""
    return csv_text(
        ("task", "method", "metric", "mean", "low", "high", "num_failed", "reason"),
        ((x.task, x.method, x.metric, x.mean, x.low, x.high, x.num_failed, x.reason) for x in lines),
    )


@dataclass(frozen=True)
class _Column:
    """The values of one method and metric, seeds averaged, and what became of the other measurements."""

    method: str
    metric: str
    values: tuple[float, ...]
    num_failed: int
    reason: str


def _summarise_task(task: Task, suite: Suite, metrics: Sequence[str]) -> list[Summary]:
    cells: dict[tuple[str, str], dict[int, list[Score]]] = defaultdict(lambda: defaultdict(list))
    for score in task.scores:
        cells[score.method, score.metric][score.observation].append(score)
    methods = (REFERENCE, *suite.methods)
    keys = [(method, metric) for method in methods for metric in metrics]
    columns = [
        _Column(*key, (), 0, LEFT_OUT) if key[0] in task.left_out else _column(*key, cells[key], suite.num_measurements)
        for key in keys
    ]
    intervals = _intervals(columns)
    nothing = (None, None, None)
    lines = [
        Summary(task.name, *key, *intervals.get(key, nothing), column.num_failed, column.reason)
        for key, column in zip(keys, columns, strict=True)
    ]
    return lines + [_cost(task, suite, method, name) for method in methods for name in COSTS]


def _column(method: str, metric: str, scores: dict[int, list[Score]], num_measurements: int) -> _Column:
    values, skipped, failed = [], [], []
    for observation in range(num_measurements):
        reason = _why_not(scores.get(observation, []))
        if reason is None:
            values.append(float(np.mean([score.value for score in scores[observation]])))
        else:
            (skipped if reason.startswith("n/a") else failed).append(reason)
    if failed:
        return _Column(method, metric, (), len(failed), _failure(failed, len(failed) + len(values)))
    why_not = "; ".join(dict.fromkeys(skipped))
    if not values:
        return _Column(method, metric, (), 0, why_not)
    reason = f"over {len(values)} of {num_measurements} measurements: {why_not}" if skipped else ""
    return _Column(method, metric, tuple(values), 0, reason)


def _why_not(scores: Sequence[Score]) -> str | None:
    """The first reason among the seeds of one measurement why it has no value; None when it has one."""
    if not scores:
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


def _intervals(columns: Sequence[_Column]) -> dict[tuple[str, str], tuple[float | None, ...]]:
    """Mean, low and high of each column that has values; columns of one length share one pass."""
    by_length = defaultdict(list)
    for column in columns:
        by_length[len(column.values)].append(column)
    by_length.pop(0, None)
    found = {}
    for group in by_length.values():
        ends = np.stack(mean_interval(np.array([column.values for column in group]).T, LEVEL), 1)
        for column, three in zip(group, ends.tolist(), strict=True):
            found[column.method, column.metric] = tuple(v if math.isfinite(v) else None for v in three)
    return found


def _cost(task: Task, suite: Suite, method: str, name: str) -> Summary:
    runs = [run for run in task.runs if run.method == method]
    stopped = next((run for run in runs if run.header.get("status", "ok") != "ok"), None)
    if not runs:
        reason = LEFT_OUT if method in task.left_out else "n/a (not a run)"
        return Summary(task.name, method, name, None, None, None, 0, reason)
    if stopped:
        failed = num_measured(stopped.header, suite.num_measurements) if stopped.header["status"] == "failed" else 0
        reason = in_words(stopped.header["status"], stopped.header.get("reason", ""))
        return Summary(task.name, method, name, None, None, None, failed, reason)
    values = [_cost_of(run, name) for run in runs]
    return Summary(task.name, method, name, float(np.mean(values)), min(values), max(values), 0, "")


def _cost_of(run: Run, name: str) -> float:
    if name == "seconds_per_sample":
        return float(run.cost["seconds"]) / run.cost["rows"]
    return float(run.cost[name])
