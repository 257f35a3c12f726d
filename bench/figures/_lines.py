"""Lines of summary.csv in figures: which are shown, their error bars, and the figure's csv."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeGuard

from bench.core.results import LEFT_OUT, REFERENCE, Results, Summary
from bench.core.text import csv_text

BAR: dict[str, Any] = {"elinewidth": 0.8, "linestyle": "none"}
POINT: dict[str, Any] = {"markersize": 4.5, "markeredgecolor": "white", "markeredgewidth": 0.5}
BAND = "#c9ced6"  # grey for the range of a perfect sampler
COLUMNS = ("task", "method", "metric", "mean", "low", "high", "reason")  # of a csv


def remarks(
    results: Results, metrics: Sequence[str], tasks: Sequence[str] | None = None
) -> dict[str, str]:
    """Return a remark for each task (None: all): the methods tried there that lack a number in one of these metrics."""
    notes = {}
    for task in results.tasks if tasks is None else tasks:
        lines = {
            method: [results.line(task, method, metric) for metric in metrics]
            for method in results.methods
        }
        absent = [m for m, of_method in lines.items() if not all(map(has_mean, of_method))]
        tried = [
            m for m in absent if not any(line and line.reason == LEFT_OUT for line in lines[m])
        ]
        other = [m for m in results.methods if not results.is_ranked(task, m) and m not in absent]
        notes[task] = "; ".join(
            f"{words}: {', '.join(names)}"
            for words, names in (("not shown", tried), ("saw another prior", other))
            if names
        )
    return notes


def lines_csv(results: Results, metrics: Sequence[str]) -> str:
    """Return the csv of the lines of these metrics, the reference first."""
    return csv_text(COLUMNS, [row for x in results.tasks for row in rows_of(results, x, metrics)])


def rows_of(results: Results, task: str, metrics: Sequence[str]) -> list[tuple]:
    """Return the rows of the csv on a task, the reference first."""
    methods = (REFERENCE, *results.methods)
    keys = [(task, method, metric) for method in methods for metric in metrics]
    return [(*key, x.mean, x.low, x.high, x.reason) for key in keys if (x := results.line(*key))]


def has_mean(line: Summary | None) -> TypeGuard[Summary]:
    """Return whether there is a line and a mean in it."""
    return line is not None and line.mean is not None


def mean_of(line: Summary) -> float:
    """Return the mean of a line that has one."""
    assert line.mean is not None
    return line.mean


def bar_ends(line: Summary) -> list[list[float]]:
    """Return the lengths of the interval below and above the mean, as matplotlib's errorbar takes them.

    The length is 0 for an end that is unknown or infinite.
    """
    ends = (line.low, line.high)
    return [
        [abs(end - mean_of(line)) if end is not None and math.isfinite(end) else 0.0]
        for end in ends
    ]


def points_of(results: Results, metrics: Sequence[str]) -> list[tuple[str, str]]:
    """Return (task, method) of the points that figures draw: those with a mean in all of these metrics."""
    return [
        (task, method)
        for task in results.tasks
        for method in results.methods
        if all(has_mean(results.line(task, method, metric)) for metric in metrics)
    ]


def means(results: Results, metric: str) -> list[float]:
    """Return all means of a metric."""
    return [x.mean for x in results.lines_of(metric) if x.mean is not None]


def means_and_floors(results: Results, metric: str) -> list[float]:
    """Return all means of a metric and the low ends of the reference's intervals.

    The low ends of an unbiased distance are below zero, so that its axis passes through zero for any means.
    """
    floors = [results.line(task, REFERENCE, metric) for task in results.tasks]
    return [*means(results, metric), *(x.low for x in floors if x and x.low is not None)]
