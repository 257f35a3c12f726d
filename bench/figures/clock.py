"""Seconds of a call against the number of samples that it draws, and against their worth, a row per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.core.results import Drawing, Results
from bench.core.text import csv_text
from bench.figures._style import (
    HAIRLINE,
    INK,
    MUTED,
    WIDTH,
    handles,
    legend,
    looks,
    marked,
    plain,
)

__all__ = ["Clock"]

COLUMNS = ("task", "method", "samples", "worth", "seconds", "low", "high")


@dataclass(frozen=True)
class Clock:
    """Seconds of one call against samples and against what they are worth in exact draws."""

    panel_height: float = 2.4  # inches, of a task

    caption: ClassVar[str] = (
        "Left: seconds of one call for one measurement, alone on the machine, against the number of samples that it "
        "draws. The dotted lines, on the right axis, say how many exact draws these samples are worth by their energy "
        "distance; exact draws would be on the diagonal. Right: the seconds against that worth. Bands: quartiles of "
        "the repeated calls, over all visits of the clock. Hollow markers: the method saw another prior than the one "
        "whose posterior the worth refers to. Without reference draws there is no worth, and only seconds are shown."
    )

    def draw(self, results: Results) -> Drawing:
        timed = [timing for timing in results.timings if timing.get("curve")]
        tasks = list(dict.fromkeys(timing["task"] for timing in timed))
        num_rows = max(len(tasks), 1)
        figure = Figure(figsize=(WIDTH, self.panel_height * num_rows + 0.7), layout="constrained")
        judged = [(row[0], row[1]) for timing in timed for row in _rows(timing) if row[3]]
        words = ("samples of one measurement", "worth in exact draws")[: 2 if judged else 1]
        grid = figure.subplots(num_rows, len(words), squeeze=False)
        for axes in grid.flat:
            axes.set(ylabel="seconds of the call")
        for axes, word in zip(grid[-1], words, strict=True):
            axes.set_xlabel(word)
        for panels, task in zip(grid, tasks, strict=False):
            panels[0].set_title(plain(task), loc="left", fontweight="bold")
            of_task = [timing for timing in timed if timing["task"] == task]
            _draw_seconds(panels[0], of_task, results)
            if judged:
                _draw_worths(*panels, of_task, results)
        shown = handles(results, [timing["method"] for timing in timed], True, judged)
        legend(figure, shown) if shown else figure.text(
            0.5, 0.5, "No run was timed.", color=MUTED, ha="center"
        )
        rows = (row for task in tasks for x in timed if x["task"] == task for row in _rows(x))
        return Drawing(figure, csv_text(COLUMNS, rows))


def _draw_seconds(axes: Axes, timed: Sequence[Mapping[str, Any]], results: Results) -> None:
    """Draw the seconds of calls against the number of samples."""
    styles = looks(results.methods, results.kinds)
    for timing in timed:
        look = styles[timing["method"]]
        points = [(point[2], *point[4:]) for point in _rows(timing)]
        _draw_curve(axes, points, {"color": look.colour, "marker": look.marker})


def _draw_worths(
    seconds: Axes, price: Axes, timed: Sequence[Mapping[str, Any]], results: Results
) -> None:
    """Draw the worth of samples on a second axis of `seconds`, and the seconds against it into `price`."""
    worth, styles = seconds.twinx(), looks(results.methods, results.kinds)
    for timing in timed:
        judged = marked(results, timing["task"], timing["method"], styles[timing["method"]])
        counting = [point for point in _rows(timing) if point[3]]
        _draw_curve(price, [point[3:] for point in counting], judged)
        sizes = [(point[2], point[3], point[3], point[3]) for point in counting]
        _draw_curve(worth, sizes, judged | {"linestyle": ":"})
    worth.axline((1, 1), (10, 10), color=INK, linewidth=0.7, linestyle=":")
    # the diagonal ends in the corner
    least = min((row[3] for timing in timed for row in _rows(timing) if row[3]), default=1)
    worth.set_ylim(
        0.8 * min(least, 1), 1.25 * max(row[2] for timing in timed for row in _rows(timing))
    )
    worth.grid(visible=False)
    worth.set_ylabel("worth in exact draws (dotted)")
    worth.spines["right"].set_visible(True)


def _rows(timing: Mapping[str, Any]) -> list[tuple]:
    """Return (task, method, s, worth, seconds, low, high) for each s; an unknown worth is None."""
    names, worth = (timing["task"], timing["method"]), timing.get("worth", {})
    return [
        (*names, c["s"], worth.get(str(c["s"])), c["median"], c["low"], c["high"])
        for c in timing["curve"]
    ]


def _draw_curve(axes: Axes, points: Sequence[tuple], style: Mapping[str, Any]) -> None:
    axes.set(xscale="log", yscale="log")
    axes.grid(color=HAIRLINE, linewidth=0.4)
    axes.tick_params(colors=MUTED)
    if points:
        x, y, low, high = zip(*points, strict=True)
        axes.fill_between(x, low, high, color=style["color"], alpha=0.2, linewidth=0)
        axes.plot(x, y, linewidth=1, markersize=3.5, **style)
    for axis in (axes.xaxis, axes.yaxis):  # labels of minor ticks would overlap
        axis.set_major_locator(LogLocator(subs=(1, 3), numticks=12))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
