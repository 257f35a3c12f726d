"""Means with intervals of values per measurement, or the reason why there is none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bench.core.results import LEFT_OUT, REFERENCE, WORTH, Summary
from bench.stats.averages import Ends, ends, reciprocal_ends
from bench.stats.frames import records_csv
from bench.stats.inference import mean_interval
from bench.stats.results import RunRecord, SuiteResults, TaskResults, format_reason, num_measured
from bench.stats.scores import Key
from bench.stats.sets import set_lines
from bench.stats.values import MetricValues, values_of_task

# tables of a dozen tasks are read together, and at 95 % every second such table would miss the truth somewhere
LEVEL = 0.99
INTERVAL = (
    f"{100 * LEVEL:.0f} % interval over measurements: bootstrap-t, on neither side narrower than Student's t (fewer "
    "than 8 measurements: Student's t alone)"
)
COSTS = {
    "nfe": "images that went forward through the prior's network (network rows), per posterior sample; low and high "
    "are the range over seeds",
    "nfe_vjp": "the same backward: rows of vector-Jacobian products per posterior sample; low and high are the range "
    "over seeds",
    "seconds_per_sample": "processor seconds (on a GPU: wall seconds) of the sampling job over the number of its "
    "samples, on the threads and device in cost.json; a rough figure; low and high are the range over seeds",
    "train_seconds": "processor seconds (on a GPU: wall seconds) of the training job, paid once for all measurements "
    "of a task; 0 for a method that is not trained; a rough figure like seconds_per_sample; low and high are the range "
    "over seeds",
    "train_nfe": "rows through the network forward in the whole of that training; 0 for a method that is not trained. "
    "What a method trains anew for each measurement counts in nfe; low and high are the range over seeds",
    "train_nfe_vjp": "network rows backward in the whole of that training",
    "worth_per_second": "worth_energy over the seconds in which all samples of a measurement were drawn, without "
    "training. It holds for this number of samples: the worth of a biased sampler does not grow with them. A rough "
    "figure like seconds_per_sample; low and high are the range over seeds",
    "worth_per_nfe": "worth_energy over the network rows, forward and backward, of all samples of a measurement, "
    "without training; low and high are the range over seeds",
}
EFFICIENCIES = ("worth_per_second", "worth_per_nfe")
NO_ROWS = "n/a (no network rows)"
# of a worth: the mean over measurements of its unbiased error is not above zero
NO_ERROR = "n/a (error cannot be told from zero)"
NOT_MEASURED = "n/a (not measured)"


def summarise(suite: SuiteResults, metric: str | None = None) -> list[Summary]:
    """Return a line for every task, every configured method and the reference, and every metric and cost.

    metric: only the lines of this metric or cost.
    """
    of_measurements = [
        line for task in suite.tasks for line in _summarise_task(task, suite, metric)
    ]
    of_sets = [line for task in suite.tasks for line in set_lines(task, suite.methods)]
    return of_measurements + [x for x in of_sets if metric in (None, x.metric)]


def summarised(suite: SuiteResults) -> tuple[str, ...]:
    """Return the metrics and costs that `summarise` has lines of."""
    keys = (key for task in suite.tasks for key in values_of_task(task, suite))
    of_sets = (x.metric for task in suite.tasks for x in set_lines(task, suite.methods))
    return tuple(dict.fromkeys((*(name for _, name in keys), *COSTS, *of_sets)))


def summary_csv(lines: Iterable[Summary]) -> str:
    """Return the text of summary.csv."""
    return records_csv(Summary, lines)


def _summarise_task(task: TaskResults, suite: SuiteResults, only: str | None) -> list[Summary]:
    values = values_of_task(task, suite)
    columns = {key: values[key] for key in values if only in (None, key[1])}
    intervals = _intervals(columns.values())
    lines = []
    for (method, metric), column in columns.items():
        three = intervals.get((method, metric), (None, None, None))
        reason = column.reason or (NO_ERROR if three[0] is None and three[1] is not None else "")
        lines.append(Summary(task.name, method, metric, *three, len(column.failed), reason))
    costs = [name for name in COSTS if only in (None, name)]
    return lines + [
        _cost(task, suite, name, method, values)
        for method in (REFERENCE, *suite.methods)
        for name in costs
    ]


def _intervals(columns: Iterable[MetricValues]) -> dict[tuple[str, str], Ends]:
    """Return mean, low and high of each column that has values and no failure; columns of one shape share one pass."""
    by_shape: dict[tuple[int, ...], list[tuple[MetricValues, np.ndarray]]] = defaultdict(list)
    for column in columns:
        if column.values and not column.failed:
            array = column.array()
            by_shape[array.shape].append((column, array))
    intervals = {}
    for group in by_shape.values():
        table = np.stack([array for _, array in group], 2)
        threes = np.stack(mean_interval(table, LEVEL), 1).tolist()
        for (column, _), three in zip(group, threes, strict=True):
            form = reciprocal_ends if column.is_harmonic else ends
            intervals[column.method, column.metric] = form(*three)
    return intervals


def _cost(
    task: TaskResults,
    suite: SuiteResults,
    name: str,
    method: str,
    values: Mapping[Key, MetricValues],
) -> Summary:
    runs = [run for run in task.runs if run.method == method]
    stopped = next((run for run in runs if run.header.get("status", "ok") != "ok"), None)
    if not runs:
        reason = LEFT_OUT if method in task.left_out else "n/a (not a run)"
        return Summary(task.name, method, name, None, None, None, 0, reason)
    if stopped:
        failed = (
            num_measured(stopped.header, suite.num_measured(task))
            if stopped.header["status"] == "failed"
            else 0
        )
        reason = format_reason(stopped.header["status"], stopped.header.get("reason", ""))
        return Summary(task.name, method, name, None, None, None, failed, reason)
    if name in EFFICIENCIES:
        nothing = MetricValues(method, WORTH, {}, {}, {0: NOT_MEASURED})
        return _efficiency(task, suite, name, runs, values.get((method, WORTH), nothing))
    spent = [
        _seconds(run) if name == "seconds_per_sample" else float(run.cost[name]) for run in runs
    ]
    return Summary(task.name, method, name, float(np.mean(spent)), min(spent), max(spent), 0, "")


def _efficiency(
    task: TaskResults,
    suite: SuiteResults,
    name: str,
    runs: Sequence[RunRecord],
    worth: MetricValues,
) -> Summary:
    """Return exact draws that the samples of a measurement are worth, per second or network row spent on them."""
    runs = sorted(runs, key=lambda run: run.seed)
    is_seconds = name == "worth_per_second"
    spent = np.array(
        [_seconds(x) if is_seconds else x.cost["nfe"] + x.cost["nfe_vjp"] for x in runs]
    )
    # (seeds,): the mean error of each
    errors = worth.array().mean(0) if worth.values and not worth.failed else np.zeros(1)
    if not (errors > 0).all() or not spent.all():
        reason = worth.reason or (NO_ROWS if (errors > 0).all() else NO_ERROR)
        num_failed = len(worth.failed)
        return Summary(task.name, worth.method, name, None, None, None, num_failed, reason)
    values = 1 / (errors * suite.num_samples * spent)
    three = float(values.mean()), float(values.min()), float(values.max())
    return Summary(task.name, worth.method, name, *three, 0, worth.reason)


def _seconds(run: RunRecord) -> float:
    return float(run.cost["seconds"]) / run.cost["rows"]
