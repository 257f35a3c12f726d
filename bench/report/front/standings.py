"""The rows of the first table: every method that ran anywhere, averaged over the tasks where it ran."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, harmonic_mean, median

from bench.core.results import BASELINES, REFERENCE, ROLES, WORTH, Summary
from bench.core.text import three_digits
from bench.report.front.columns import (
    ABOUT,
    CALLS,
    CEILING,
    DONE,
    GOALS,
    LABELS,
    MILLISECONDS,
    OF_RATIOS,
    OVER_FLOOR,
    RATIO,
    Column,
    front_ids,
    headline_of,
)
from bench.report.front.references import NONE, reference_mode
from bench.report.notes import definitions
from bench.report.tables import goal_of, ordered_methods
from bench.stats.comparisons import Comparison
from bench.stats.results import SuiteResults, TaskResults

Known = Mapping[tuple[str, str, str], Summary]  # by task, method, metric


@dataclass(frozen=True)
class Number:
    """A number as it is shown, and the one to sort by; text "" for none, then `reason` says why."""

    text: str = ""
    value: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Standing:
    """A row of the first table.

    role: "floor", "ceiling", "check" (of the exact sampler) or ""; variant_of: the row of the same plug-in that bears
    its name, "" for none. numbers: one for each column. tried, done, failed: tasks. tied, compared: tasks where the
    headline cannot be told from the best, and where it was compared. remark: what restricts the row's averages.
    """

    method: str
    kind: str
    role: str
    variant_of: str
    numbers: tuple[Number, ...]
    tried: int
    done: int
    failed: int
    tied: int
    compared: int
    remark: str = ""

    @property
    def competes(self) -> bool:
        return self.method not in BASELINES


@dataclass(frozen=True)
class Front:
    """The first table: its columns, its rows from floor to ceiling, and the headline metric with its goal."""

    headline: str
    goal: str
    columns: tuple[Column, ...]
    rows: tuple[Standing, ...]

    @property
    def methods(self) -> tuple[Standing, ...]:
        """Return the rows that a user would choose from, best first."""
        return tuple(row for row in self.rows if row.competes)

    @property
    def variant_names(self) -> frozenset[str]:
        """Return the rows that are variants of another row."""
        return frozenset(row.method for row in self.rows if row.variant_of)

    def number(self, row: Standing, column: str) -> Number:
        """Return a row's number in a column; an empty one where there is no such column."""
        places = [column.id for column in self.columns]
        return row.numbers[places.index(column)] if column in places else Number()


def front_of(
    suite: SuiteResults, lines: Sequence[Summary], comparisons: Sequence[Comparison]
) -> Front:
    """Return the first table of a suite. comparisons: those behind the bold of the table of distances."""
    headline = headline_of(suite, lines)
    known = by_key(lines)
    columns = tuple(_column(id, suite) for id in front_ids(suite, lines))
    of_headline = [x for x in comparisons if x.metric == headline]
    rows = [
        _standing(method, columns, suite, known, headline, of_headline)
        for method in ordered_methods(suite)
    ]
    rows = [row for row in rows if row.tried or (row.role == "floor" and _has_numbers(row))]
    goal = goal_of(headline, suite)
    front = Front(headline, goal, columns, tuple(rows))
    return Front(headline, goal, columns, tuple(sorted(rows, key=_order(front))))


def by_key(lines: Iterable[Summary]) -> Known:
    """Return the lines of summary.csv by task, method and metric."""
    return {(x.task, x.method, x.metric): x for x in lines}


def variants(suite: SuiteResults) -> dict[str, str]:
    """Return for each row that is a variant the row which bears its plug-in's name: dps-paper -> dps."""
    modules = modules_of(suite)
    return {m: module for m, module in modules.items() if m != module and module in suite.methods}


def modules_of(suite: SuiteResults) -> dict[str, str]:
    """Return the plug-in of each row, as its runs say; the row's own name where they do not."""
    said = {run.method: run.header.get("module", "") for task in suite.tasks for run in task.runs}
    return {method: said.get(method) or method for method in suite.methods}


def share_of_way(task: TaskResults, method: str, headline: str, known: Known) -> float | None:
    """Return how far a method is on the way from the floor (0) to the ceiling (1); None where one is not known."""
    ends = [known.get((task.name, m, headline)) for m in (method, REFERENCE, CEILING)]
    if method in task.unranked or any(line is None or line.mean is None for line in ends):
        return None
    own, floor, ceiling = (line.mean for line in ends if line and line.mean is not None)
    return (own - floor) / (ceiling - floor) if ceiling > floor else None


def _column(id: str, suite: SuiteResults) -> Column:
    about = ABOUT.get(id) or definitions(suite).get(id, "")
    about += OF_RATIOS if id.endswith(RATIO) else ""
    return Column(id, LABELS.get(id, id), GOALS.get(id) or goal_of(id, suite), about)


def _order(front: Front) -> Callable[[Standing], tuple]:
    """Return a key: floor, exact sampler, methods by the first column that has a direction, ceiling."""
    places = {"floor": 0, "check": 1, "ceiling": 3}

    def key(row: Standing) -> tuple:
        column = next((c for c in front.columns if c.goal), None)
        value = front.number(row, column.id).value if column else None
        if column and value is not None:
            target = float(column.goal[1:]) if column.goal.startswith("=") else None
            value = abs(value - target) if target is not None else value
            value = -value if column.goal == "up" else value
        return places.get(row.role, 2), value is None, value or 0.0

    return key


def _standing(
    method: str,
    columns: Sequence[Column],
    suite: SuiteResults,
    known: Known,
    headline: str,
    comparisons: Sequence[Comparison],
) -> Standing:
    states = [_state(task, method) for task in suite.tasks]
    of_method = [x for x in comparisons if x.method == method]
    tasks = [task for task in suite.tasks if method not in task.unranked]
    elsewhere = [task.name for task in suite.tasks if method in task.unranked]
    role = "check" if method == "oracle" else ROLES.get(method, "")
    return Standing(
        method,
        suite.kinds.get(method, ""),
        role,
        variants(suite).get(method, ""),
        tuple(_number(c.id, method, tasks, suite, known, headline) for c in columns),
        tried=sum(state != "" for state in states),
        done=states.count("ok"),
        failed=states.count("failed"),
        tied=sum(x.tied is True for x in of_method),
        compared=sum(x.tied is not None for x in of_method),
        remark=f"saw another prior on {', '.join(elsewhere)}, which is in no average"
        if elsewhere
        else "",
    )


def _state(task: TaskResults, method: str) -> str:
    """Return how the runs of a method on a task ended: "ok", "failed", "n/a"; "" where there are none."""
    ended = {run.header.get("status", "ok") for run in task.runs if run.method == method}
    return next(
        (state for state in ("failed", "n/a", "ok") if state in ended), next(iter(ended), "")
    )


def _number(
    id: str,
    method: str,
    tasks: Sequence[TaskResults],
    suite: SuiteResults,
    known: Known,
    headline: str,
) -> Number:
    """Return the average of a column over tasks, harmonic of worths, median of ratios; `n/a` with a reason."""
    if id == DONE:
        num = sum(_state(task, method) == "ok" for task in suite.tasks)
        return Number() if method == REFERENCE else Number(f"{num} of {len(suite.tasks)}", num)
    if id == OVER_FLOOR:
        shares = [share_of_way(task, method, headline, known) for task in tasks]
        found = [share for share in shares if share is not None]
        return _percent(fmean(found)) if found else Number(reason="n/a (no floor or no ceiling)")
    cells = [_value(id, known, task.name, method, suite) for task in tasks]
    found = [value for value, _ in cells if value is not None]
    if not found:
        return Number(reason=next((why for _, why in cells if why), "n/a"))
    mean = _average(id, found, suite)
    return Number(three_digits(mean) if abs(mean) < 1e4 else f"{mean:,.0f}", mean)


def _percent(share: float) -> Number:
    value = 100 * share
    return Number(f"{value:.2g} %" if abs(value) < 10 else f"{value:.0f} %", value)


def _value(
    id: str, known: Known, task: str, method: str, suite: SuiteResults
) -> tuple[float | None, str]:
    """Return the number of a task and a method, else None and the reason."""
    if id == MILLISECONDS:
        timed = [x for x in suite.timings if (x["task"], x["method"]) == (task, method)]
        if timed and timed[0].get("curve"):
            last = timed[0]["curve"][-1]
            return 1000 * last["median"] / last["s"], ""
    names = {CALLS: ("nfe", "nfe_vjp"), MILLISECONDS: ("seconds_per_sample",)}.get(id, (id,))
    found = [known.get((task, method, name)) for name in names]
    means = [line.mean for line in found if line and line.mean is not None]
    if len(means) < len(names):
        return None, next((line.reason for line in found if line), "n/a (not measured)")
    return sum(means) * (1000 if id == MILLISECONDS else 1), ""


def _average(id: str, values: Sequence[float], suite: SuiteResults) -> float:
    """Return the average over tasks.

    Ratios have their median, on a logarithmic scale: where the posterior is nearly one image, the ratio of samples that
    diverge is any number (1e34 was seen), and so is a mean, even a geometric one.
    """
    is_harmonic = id == WORTH or any(id in task.harmonic for task in suite.tasks)
    if is_harmonic and min(values) > 0:
        return harmonic_mean(values)
    if id.endswith(RATIO):
        return math.exp(median(map(math.log, values))) if min(values) > 0 else median(values)
    return fmean(values)


def _has_numbers(row: Standing) -> bool:
    return any(number.value is not None for number in row.numbers)


def judged_tasks(suite: SuiteResults) -> tuple[TaskResults, ...]:
    """Return the tasks that have reference draws."""
    return tuple(task for task in suite.tasks if reference_mode(task) != NONE)
