"""Quality against the cost of a sample with its share of training: a column of panels per number of measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.core.results import DISTANCE, Drawing, Results
from bench.core.text import csv_text
from bench.figures._spending import HARMONIC, BreakEven, Cost, Curve, Point, break_evens, curves
from bench.figures._style import (
    HAIRLINE,
    INK,
    MUTED,
    WIDTH,
    Look,
    legend,
    looks,
    name_axes,
    plain,
)

COLUMNS = (
    "metric", "method", "row", "measurements", "cost", "sampling", "training", "mean", "low", "high", "against",
    "break_even",
)  # fmt: skip
_RING: dict[str, Any] = {"marker": "o", "markersize": 8, "markerfacecolor": "none", "color": INK}
_RING |= {"markeredgewidth": 0.8, "linestyle": "none", "zorder": 5}
_MOST_NAMED = 4  # trained methods in the words above a row of panels
_LEAST = {True: 1e-2, False: 1e-3}  # of a worth and of a distance: smaller numbers are drawn there

OfMetrics = Mapping[str, Sequence[Curve]]


def draw_budget(
    results: Results, metrics: Sequence[str], counts: Sequence[int], cost: Cost, words: str
) -> Drawing:
    """Draw metrics (down) against `cost` per sample at numbers of measurements (across). words: below the axis."""
    of_metrics = {metric: curves(results, metric, cost) for metric in metrics}
    shown = {metric: found for metric, found in of_metrics.items() if found}
    shown = shown or {DISTANCE: curves(results, DISTANCE, cost)}
    points = {name: break_evens(found, results.num_samples) for name, found in shown.items()}
    height = 1.75 * len(shown) + 0.9
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = figure.subplots(len(shown), len(counts), sharex=True, sharey="row", squeeze=False)
    methods = dict.fromkeys(curve.method for found in shown.values() for curve in found)
    styles = looks([*methods], results.kinds)
    for row, (metric, found) in zip(panels, shown.items(), strict=True):
        for panel, count in zip(row, counts, strict=True):
            overtaken = _overtaken(points[metric], count)
            _draw_panel(panel, found, styles, count * results.num_samples, overtaken)
            panel.set_title(_title(count), loc="left", fontweight="bold", pad=11)
        _scale_up(row[0], metric, results.num_samples, row)
        row[0].set_ylabel(metric)
        place = {"transform": row[0].transAxes, "fontsize": 5.5, "color": MUTED}
        row[0].text(0, 1.03, plain(_remark(points[metric])), **place).set_in_layout(False)
    name_axes(figure, words, "mean over tasks, 95 % interval over measurements and seeds")
    legend(figure, [*_handles(styles), Line2D([], [], label="past break-even with all", **_RING)])
    return Drawing(figure, _csv(shown, points, counts, results.num_samples))


def _draw_panel(
    panel: Axes,
    found: Sequence[Curve],
    styles: Mapping[str, Look],
    num_samples: int,
    overtaken: Sequence[str],
) -> None:
    """Draw the curves with training shared by `num_samples` samples."""
    panel.grid(color=HAIRLINE, linewidth=0.4)
    panel.set_axisbelow(True)
    for curve in found:
        _draw_curve(panel, curve, styles[curve.method], num_samples, overtaken)
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(numticks=8))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_locator(NullLocator())


def _draw_curve(
    panel: Axes, curve: Curve, look: Look, num_samples: int, overtaken: Sequence[str]
) -> None:
    """Draw points with their intervals, and circles around the rows in `overtaken`."""
    least = _LEAST[curve.higher_is_better]
    x = [max(point.spent.per_sample(num_samples), 1e-6) for point in curve.points]
    y = [min(max(point.mean, least), 1e6) for point in curve.points]
    ends = list(zip(*(_bar(point, least) for point in curve.points), strict=True))
    style: dict[str, Any] = {"color": look.colour, "marker": look.marker, "markersize": 3.5}
    style |= {"linestyle": "--" if curve.is_trained else "-", "linewidth": 1, "elinewidth": 0.6}
    panel.errorbar(x, y, yerr=ends, **style)
    rings = [i for i, point in enumerate(curve.points) if point.row in overtaken]
    panel.plot([x[i] for i in rings], [y[i] for i in rings], **_RING)


def _bar(point: Point, least: float) -> tuple[float, float]:
    """Return the lengths of the interval below and above the mean, within what is drawn."""
    low, mean, high = (min(max(x, least), 1e6) for x in (point.low, point.mean, point.high))
    return max(mean - low, 0.0), max(high - mean, 0.0)


def _scale_up(panel: Axes, metric: str, num_samples: int, row: Sequence[Axes]) -> None:
    """Set the scale of a row of panels, and draw what an exact sampler has."""
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(numticks=8))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(NullLocator())
    low, high = panel.get_ylim()
    if metric.startswith(HARMONIC):
        for each in row:
            each.axhline(num_samples, color=INK, linewidth=0.9, linestyle=":")
        high = min(max(high, 1.3 * num_samples), 4 * num_samples)
    panel.set_ylim(max(low, _LEAST[metric.startswith(HARMONIC)]), high)


def _title(count: int) -> str:
    return f"{count} measurement" + ("s" if count > 1 else "")


def _handles(styles: Mapping[str, Look]) -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            color=look.colour,
            marker=look.marker,
            markersize=4,
            linewidth=1,
            label=plain(method),
        )
        for method, look in styles.items()
    ]


def _first_overtakings(points: Sequence[BreakEven]) -> dict[str, float]:
    """Return from how many measurements on each trained row is past its break-even points with all methods."""
    rows: dict[str, float] = {}
    for point in points:
        rows[point.row] = max(rows.get(point.row, 0.0), point.measurements)
    return rows


def _overtaken(points: Sequence[BreakEven], count: int) -> list[str]:
    return [row for row, first in _first_overtakings(points).items() if first <= count]


def _remark(points: Sequence[BreakEven]) -> str:
    """Return the smallest break-even point of each trained method with all others, as words."""
    of_methods: dict[str, float] = {}
    for row, first in _first_overtakings(points).items():
        method = row.rpartition("-b")[0] or row
        of_methods[method] = min(of_methods.get(method, math.inf), first)
    words = [
        f"{method} {'never' if math.isinf(first) else f'from {math.ceil(max(first, 1))}'}"
        for method, first in of_methods.items()
    ]
    more = ["..."] if len(words) > _MOST_NAMED else []
    return f"break-even: {', '.join(words[:_MOST_NAMED] + more)}" if words else ""


def _csv(
    shown: OfMetrics,
    points: Mapping[str, Sequence[BreakEven]],
    counts: Sequence[int],
    num_samples: int,
) -> str:
    """Return a row for each point at each number of measurements, then one for each break-even point."""
    rows: list[tuple] = []
    for metric, found in shown.items():
        for curve in found:
            for point in curve.points:
                spent = point.spent
                for count in counts:
                    costs = spent.per_sample(count * num_samples), spent.sampling, spent.training
                    numbers = point.mean, point.low, point.high
                    rows.append((metric, curve.method, point.row, count, *costs, *numbers, "", ""))
        for even in points[metric]:
            number = f"{even.measurements:.6g}"
            first = "never" if math.isinf(even.measurements) else f"{even.bound} {number}".strip()
            method = even.row.rpartition("-b")[0] or even.row
            rows.append((metric, method, even.row, *[""] * 7, even.against, first))
    return csv_text(COLUMNS, rows)
