"""Draw shares against their nominal level, a panel per task: calibration, TARP, simulation-based calibration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.special import bdtr

from bench.core.results import REFERENCE, Drawing, Results
from bench.core.text import csv_text
from bench.figures._lines import BAND, COLUMNS, has_mean, mean_of, remarks, rows_of
from bench.figures._style import (
    INK,
    MUTED,
    WIDTH,
    handles,
    legend,
    looks,
    marked,
    name_axes,
    small_panels,
)

CONFIDENCE = 0.99  # of the band; intervals in tables have the same level


def sampling_band(level: float, num: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the lowest and highest share of `num` independent cases of probability `level` in a binomial interval.

    A calibrated sampler is inside with probability `confidence` or more; each tail has at most (1 - confidence) / 2.
    """
    at_most = bdtr(np.arange(num + 1.0), num, level)
    at_least = 1 - np.concatenate([[0.0], at_most[:-1]])
    tail = (1 - confidence) / 2
    low, high = np.argmax(at_most > tail), num - np.argmax(at_least[::-1] > tail)
    return float(low / num), float(high / num)


def misspecified(results: Results) -> tuple[str, ...]:
    """Return the tasks whose x_true are not draws of the prior."""
    return tuple(task for task in results.tasks if task not in results.well_specified)


def draw_levels(
    results: Results,
    tasks: Sequence[str],
    metric: str,
    words: tuple[str, str],
    confidence: float | None = None,
) -> Drawing:
    """Draw a curve per method of the metrics `metric`@<level> against their level, a panel for each of `tasks`.

    words: labels of the axes, across and upwards. confidence: of the band of a calibrated sampler; None: no band. The
    csv has a line for each other task that says why it is not shown.
    """
    metrics = sorted((x for x in results.metrics if x.startswith(f"{metric}@")), key=_level)
    table = csv_text(
        COLUMNS, [row for task in results.tasks for row in _rows(results, task, tasks, metrics)]
    )
    if not tasks:
        return Drawing(_without_panels(), table)
    figure, panels = small_panels(remarks(results, metrics, tasks), height=1.75)
    for panel, task in zip(panels, tasks, strict=True):
        if confidence is not None:
            _draw_band(panel, results.num_measured(task), confidence)
        panel.plot([0, 1], [0, 1], color=MUTED, linewidth=0.7, linestyle=":")
        _draw_curves(panel, task, metrics, results)
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    name_axes(figure, *words)
    floor = Line2D([], [], color=INK, linewidth=1, linestyle="--", label="reference posterior")
    lines = [x for name in metrics for x in results.lines_of(name) if x.task in tasks]
    drawn = {(x.task, x.method) for x in lines if has_mean(x)}
    marks = [floor, *handles(results, {method for _, method in drawn}, True, drawn)]
    if confidence is not None:
        marks.insert(0, Patch(facecolor=BAND, label=f"calibrated, {confidence:.0%}"))
    legend(figure, marks)
    return Drawing(figure, table)


def _rows(results: Results, task: str, shown: Sequence[str], metrics: Sequence[str]) -> list[tuple]:
    """Return the rows of the csv on a task; one with a reason where it has no panel."""
    if task in shown:
        return rows_of(results, task, metrics)
    truth = "a draw of the prior" if task in results.well_specified else "an image of the data set"
    return [(task, REFERENCE, "", None, None, None, f"n/a (not shown: x_true is {truth})")]


def _without_panels() -> Figure:
    figure = Figure(figsize=(WIDTH, 0.5))
    words = "No task of this suite has an x_true of the kind that this figure is about."
    figure.text(0.5, 0.5, words, color=MUTED, ha="center", va="center")
    return figure


def _draw_band(panel: Axes, num_measurements: int, confidence: float) -> None:
    levels = np.linspace(0, 1, 101)
    low, high = np.transpose(
        [sampling_band(level, num_measurements, confidence) for level in levels]
    )
    panel.fill_between(levels, low, high, color=BAND, alpha=0.5, linewidth=0, zorder=1)


def _draw_curves(panel: Axes, task: str, metrics: Sequence[str], results: Results) -> None:
    """Draw the curve of every method on a task, and that of the reference above them."""
    for method, look in looks(results.methods, results.kinds).items():
        style = {"linewidth": 1, "markersize": 3, "markeredgewidth": 0}
        style |= marked(results, task, method, look)
        _draw_curve(panel, task, method, metrics, results, style)
    style = {"color": INK, "linewidth": 1, "linestyle": "--", "zorder": 4}
    _draw_curve(panel, task, REFERENCE, metrics, results, style)


def _draw_curve(
    panel: Axes, task: str, method: str, metrics: Sequence[str], results: Results, style: dict
) -> None:
    lines = [results.line(task, method, metric) for metric in metrics]
    points = [(_level(line.metric), mean_of(line)) for line in lines if has_mean(line)]
    if points:
        panel.plot(*zip(*points, strict=True), clip_on=False, **style)


def _level(metric: str) -> float:
    return float(metric.rpartition("@")[2])
