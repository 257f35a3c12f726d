"""Means with intervals of values per measurement, or the reason why there is none."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from bench.core.results import LEFT_OUT, REFERENCE, Summary
from bench.stats.frames import records_csv
from bench.stats.inference import mean_interval
from bench.stats.results import RunRecord, SuiteResults, TaskResults, format_reason, num_measured
from bench.stats.sets import set_lines
from bench.stats.values import MetricValues, values_of_task

# tables of a dozen tasks are read side by side: at 95 % every other one would miss the truth somewhere
LEVEL = 0.99
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
    "train_nfe_vjp": "rows through the prior's network backward in the whole of that training",
    "ess_per_second": "effective samples per second of sampling alone (training has its own columns): of chains the "
    "mean ess_bulk over the seconds of all samples of a measurement, seconds_per_sample times their number; "
    "independent samples count one each, coupled ones have no number; a rough figure like seconds_per_sample; low and "
    "high are the range over seeds",
    "ess_per_nfe": "effective samples, counted like those of ess_per_second, per row through the prior's network while "
    "sampling, forward rows and backward rows added (nfe + nfe_vjp); low and high are the range over seeds",
}
EFFICIENCIES = ("ess_per_second", "ess_per_nfe")
EFFECTIVE = "ess_bulk"
NO_ROWS = "n/a (no network rows)"
NOT_MEASURED = "n/a (not measured)"


def summarise(suite: SuiteResults) -> list[Summary]:
    """Return a line for every task, every configured method and the reference, and every metric and cost."""
    of_measurements = [line for task in suite.tasks for line in _summarise_task(task, suite)]
    of_sets = [line for task in suite.tasks for line in set_lines(task, suite.methods)]
    return of_measurements + of_sets


def summary_csv(lines: Iterable[Summary]) -> str:
    """Return the text of summary.csv."""
    return records_csv(Summary, lines)


def _summarise_task(task: TaskResults, suite: SuiteResults) -> list[Summary]:
    columns = values_of_task(task, suite)
    intervals = _intervals(columns.values())
    lines = []
    for (method, metric), column in columns.items():
        mean, low, high = intervals.get((method, metric), (None, None, None))
        lines.append(
            Summary(task.name, method, metric, mean, low, high, len(column.failed), column.reason)
        )
    effective = {method: columns.get((method, EFFECTIVE)) for method in (REFERENCE, *suite.methods)}
    return lines + [
        _cost(task, suite, name, method, effective[method])
        for method in effective
        for name in COSTS
    ]


def _intervals(columns: Iterable[MetricValues]) -> dict[tuple[str, str], tuple[float | None, ...]]:
    """Return mean, low and high of each column that has values and no failure; columns of one shape share one pass."""
    by_shape: dict[tuple[int, ...], list[tuple[MetricValues, np.ndarray]]] = defaultdict(list)
    for column in columns:
        if column.values and not column.failed:
            array = column.array()
            by_shape[array.shape].append((column, array))
    intervals = {}
    for group in by_shape.values():
        ends = np.stack(mean_interval(np.stack([array for _, array in group], 2), LEVEL), 1)
        for (column, _), three in zip(group, ends.tolist(), strict=True):
            intervals[column.method, column.metric] = tuple(
                v if math.isfinite(v) else None for v in three
            )
    return intervals


def _cost(
    task: TaskResults, suite: SuiteResults, name: str, method: str, effective: MetricValues | None
) -> Summary:
    runs = [run for run in task.runs if run.method == method]
    stopped = next((run for run in runs if run.header.get("status", "ok") != "ok"), None)
    if not runs:
        reason = LEFT_OUT if method in task.left_out else "n/a (not a run)"
        return Summary(task.name, method, name, None, None, None, 0, reason)
    if stopped:
        failed = (
            num_measured(stopped.header, suite.num_measurements)
            if stopped.header["status"] == "failed"
            else 0
        )
        reason = format_reason(stopped.header["status"], stopped.header.get("reason", ""))
        return Summary(task.name, method, name, None, None, None, failed, reason)
    if name in EFFICIENCIES:
        return _efficiency(
            task,
            suite,
            name,
            runs,
            effective or MetricValues(method, EFFECTIVE, {}, {}, {0: NOT_MEASURED}),
        )
    values = [
        _seconds(run) if name == "seconds_per_sample" else float(run.cost[name]) for run in runs
    ]
    return Summary(task.name, method, name, float(np.mean(values)), min(values), max(values), 0, "")


def _efficiency(
    task: TaskResults,
    suite: SuiteResults,
    name: str,
    runs: Sequence[RunRecord],
    effective: MetricValues,
) -> Summary:
    """Return effective samples per second or row; without `effective`, its ess_bulk, a chain has no number."""
    runs = sorted(runs, key=lambda run: run.seed)
    spent = np.array(
        [
            _seconds(x) if name == "ess_per_second" else x.cost["nfe"] + x.cost["nfe_vjp"]
            for x in runs
        ]
    )
    is_independent = all(run.header["joint"] == "independent" for run in runs)
    has_number = not effective.failed and (is_independent or bool(effective.values))
    if not has_number or not spent.all():
        reason = effective.reason if not has_number else NO_ROWS
        return Summary(
            task.name, effective.method, name, None, None, None, len(effective.failed), reason
        )
    sizes = suite.num_samples if is_independent else effective.array().mean(0)
    values = sizes / (suite.num_samples * spent)
    reason = "" if is_independent else effective.reason
    return Summary(
        task.name, effective.method, name, values.mean(), values.min(), values.max(), 0, reason
    )


def _seconds(run: RunRecord) -> float:
    return float(run.cost["seconds"]) / run.cost["rows"]
