"""Metrics against a setting in which rows of a suite differ, such as the number of network calls or the step size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.core.results import DISTANCE, Drawing, Results
from bench.core.text import csv_text
from bench.figures._lines import bar_ends, has_mean, mean_of
from bench.figures._style import HAIRLINE, INK, MUTED, WIDTH, legend, plain, scale

__all__ = ["Sweep"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5b3a8c", "#7a4a1d")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
COLUMNS = ("sweep", "task", "metric", "method", "value", "mean", "low", "high")
Rows = Mapping[str, float]  # row of the suite -> its value of the setting


@dataclass(frozen=True)
class Sweep:
    """A column of panels per setting and a row per metric; a curve is a task."""

    metrics: tuple[str, ...] = (DISTANCE,)  # their ids
    # name of a setting -> row of the suite -> its value; none: network rows of all rows
    sweeps: dict[str, dict[str, float]] = field(default_factory=dict)

    caption: ClassVar[str] = (
        "Metrics against a setting in which rows of the suite differ while all else is equal. Each curve is a task; "
        "bars are intervals over measurements."
    )

    def draw(self, results: Results) -> Drawing:
        sweeps = self.sweeps or {"network rows per sample": _network_rows(results)}
        figure = Figure(figsize=(WIDTH, 1.9 * len(self.metrics) + 0.8), layout="constrained")
        panels = figure.subplots(len(self.metrics), len(sweeps), sharex="col", squeeze=False)
        table, drawn = [], []
        for row, metric in zip(panels, self.metrics, strict=True):
            for panel, (name, values) in zip(row, sweeps.items(), strict=True):
                found = _draw_panel(panel, results, metric, values)
                table += [(name, *line) for line in found]
                drawn += [line[0] for line in found]
            row[0].set_ylabel(plain(metric.partition("@")[0]), fontsize=6.5)
        for panel, name in zip(panels[-1], sweeps, strict=True):
            panel.set_xlabel(plain(name))
        legend(figure, _handles(results.tasks, drawn))
        return Drawing(figure, csv_text(COLUMNS, table))


def _network_rows(results: Results) -> dict[str, float]:
    """Return the forward rows per sample of each method, on the first task that has them."""
    found: dict[str, float] = {}
    for line in results.lines_of("nfe"):
        if line.mean and line.method in results.methods:
            found.setdefault(line.method, line.mean)
    return found


def _draw_panel(panel: Axes, results: Results, metric: str, values: Rows) -> list[tuple]:
    """Draw a curve for each task with two values or more, or points if the setting has one; return the csv's lines."""
    panel.grid(color=HAIRLINE, linewidth=0.4)
    panel.set_axisbelow(True)
    table, x_drawn, y_drawn = [], [], []
    for i, task in enumerate(results.tasks):
        points, lines = [], []
        for method, value in sorted(values.items(), key=lambda item: item[1]):
            line = results.line(task, method, metric)
            if has_mean(line):
                points.append((value, mean_of(line), bar_ends(line)))
                lines.append((task, metric, method, value, line.mean, line.low, line.high))
        if len(points) < min(2, len(values)):
            continue
        table += lines
        x, y, ends = zip(*points, strict=True)
        bars = [[end[side][0] for end in ends] for side in (0, 1)]
        style = {"color": COLOURS[i % 8], "marker": MARKERS[i % 8], "markersize": 3}
        panel.errorbar(x, y, yerr=bars, linewidth=1, elinewidth=0.6, **style)
        x_drawn += x
        y_drawn += y
    scale(panel, "x", x_drawn)
    if not x_drawn:
        panel.text(0.5, 0.5, "no number", color=MUTED, ha="center", transform=panel.transAxes)
    return table


def _handles(tasks: Sequence[str], drawn: Sequence[str]) -> list[Line2D]:
    """Return the legend's handles of the tasks that were drawn."""
    shown = [
        Line2D([], [], color=COLOURS[i % 8], marker=MARKERS[i % 8], markersize=4, label=plain(task))
        for i, task in enumerate(tasks)
        if task in drawn
    ]
    return shown or [Line2D([], [], color=INK, linestyle="none", label="no task")]
