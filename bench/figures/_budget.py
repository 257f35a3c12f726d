"""Quality against the cost of a sample with its share of training: a panel for each kind of method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.core.kinds import OTHER
from bench.core.results import DISTANCE, Drawing, Results
from bench.core.text import csv_text
from bench.figures._spending import HARMONIC, BreakEven, Cost, Curve, Point, break_evens, curves
from bench.figures._style import (
    HAIRLINE,
    INK,
    WIDTH,
    Look,
    name_axes,
    plain,
)

COLUMNS = (
    "metric", "method", "row", "measurements", "cost", "sampling", "training", "mean", "low", "high", "against",
    "break_even",
)  # fmt: skip
_RING: dict[str, Any] = {"marker": "o", "markersize": 8, "markerfacecolor": "none", "color": INK}
_RING |= {"markeredgewidth": 0.8, "linestyle": "none", "zorder": 5}
_KEY: dict[str, Any] = {"fontsize": 5.5, "handlelength": 1.4, "labelspacing": 0.2, "borderpad": 0.2}
_KEY |= {"frameon": True, "framealpha": 0.8, "edgecolor": "none", "borderaxespad": 0.1}
PALE = "#d9dce2"  # for curves that are in colour in another panel
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#8e4585", "#E69F00", "#1f2430")  # none is pale
_LOOKS = [Look(*look) for look in zip(_COLOURS, "os^Dvp", strict=True)]
MOST_ACROSS = 4  # panels
_LEAST = {
    True: 1e-2,
    False: 1e-3,
}  # smallest worth (True) or distance drawn; smaller ones are moved there

OfMetrics = Mapping[str, Sequence[Curve]]


@dataclass(frozen=True)
class _Group:
    """The methods in colour in a panel, and the number of measurements that share their training."""

    title: str
    styles: Mapping[str, Look]
    count: int
    is_trained: bool


def draw_budget(
    results: Results, metrics: Sequence[str], counts: Sequence[int], cost: Cost, words: str
) -> Drawing:
    """Draw metrics against `cost` per sample, with a panel for each kind of methods.

    Trained methods have a panel for each of `counts`, the numbers of measurements that share the training. words: the
    label of the axis across.
    """
    of_metrics = {metric: curves(results, metric, cost) for metric in metrics}
    shown = {metric: found for metric, found in of_metrics.items() if found}
    shown = shown or {DISTANCE: curves(results, DISTANCE, cost)}
    points = {name: break_evens(found, results.num_samples) for name, found in shown.items()}
    groups = _groups([curve for found in shown.values() for curve in found], results, counts)
    across = min(MOST_ACROSS, max(len(groups), 1))
    down = math.ceil(len(groups) / across) or 1
    figure = Figure(figsize=(WIDTH, 1.9 * down * len(shown) + 0.4), layout="constrained")
    panels = figure.subplots(down * len(shown), across, sharex=True, squeeze=False)
    for i, (metric, found) in enumerate(shown.items()):
        block = list(panels[i * down : (i + 1) * down].flat)
        for spare in block[len(groups) :]:
            spare.remove()
        for panel, group in zip(block, groups, strict=False):
            overtaken = _overtaken(points[metric], group.count) if group.is_trained else []
            _draw_panel(panel, found, group, results.num_samples, overtaken)
        _scale_up(block[: len(groups)], metric, results.num_samples, across)
    name_axes(figure, words, "mean over tasks, 95 % interval over measurements and seeds")
    return Drawing(figure, _csv(shown, points, counts, results.num_samples))


def _groups(found: Sequence[Curve], results: Results, counts: Sequence[int]) -> list[_Group]:
    """Return the group of each panel: the methods of a kind, trained ones once for each count."""
    members: dict[tuple[str, bool], dict[str, None]] = {}
    for curve in found:
        kind = results.kinds.get(curve.points[0].row, OTHER)
        members.setdefault((kind, curve.is_trained), {})[curve.method] = None
    groups = []
    for (kind, is_trained), methods in members.items():
        styles = {x: _LOOKS[i % len(_LOOKS)] for i, x in enumerate(methods)}
        for count in counts if is_trained else (max(counts),):
            of_count = f" for {count} y" if is_trained else ""
            groups.append(_Group(f"{kind}{of_count}", styles, count, is_trained))
    return groups


def _draw_panel(
    panel: Axes, found: Sequence[Curve], group: _Group, num_samples: int, overtaken: Sequence[str]
) -> None:
    """Draw the curves of a group, with training shared by its measurements, and other untrained methods in grey."""
    panel.grid(color=HAIRLINE, linewidth=0.4)
    panel.set_axisbelow(True)
    for curve in found:
        if curve.method in group.styles:
            look = group.styles[curve.method]
            _draw_curve(panel, curve, look, group.count * num_samples, overtaken)
        elif not curve.is_trained:
            x, y = _line(curve, num_samples)
            panel.plot(x, y, color=PALE, linewidth=0.7, zorder=1)
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(numticks=8))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_locator(NullLocator())
    corner = "lower right" if found and found[0].higher_is_better else "upper right"
    panel.legend(handles=_handles(group.styles), loc=corner, **_KEY)
    panel.set_title(group.title, loc="left", fontweight="bold", pad=3)


def _line(curve: Curve, num_samples: int) -> tuple[list[float], list[float]]:
    """Return costs and means, limited to the range that is drawn."""
    least = _LEAST[curve.higher_is_better]
    x = [max(point.spent.per_sample(num_samples), 1e-6) for point in curve.points]
    return x, [min(max(point.mean, least), 1e6) for point in curve.points]


def _draw_curve(
    panel: Axes, curve: Curve, look: Look, num_samples: int, overtaken: Sequence[str]
) -> None:
    """Draw points with their intervals, and circles around the rows in `overtaken`."""
    least = _LEAST[curve.higher_is_better]
    x, y = _line(curve, num_samples)
    ends = list(zip(*(_bar(point, least) for point in curve.points), strict=True))
    style: dict[str, Any] = {"color": look.colour, "marker": look.marker, "markersize": 3}
    style |= {"linestyle": "--" if curve.is_trained else "-", "linewidth": 1, "elinewidth": 0.6}
    panel.errorbar(x, y, yerr=ends, **style)
    rings = [i for i, point in enumerate(curve.points) if point.row in overtaken]
    panel.plot([x[i] for i in rings], [y[i] for i in rings], **_RING)


def _bar(point: Point, least: float) -> tuple[float, float]:
    """Return the lengths of the interval below and above the mean, limited to the range that is drawn."""
    low, mean, high = (min(max(x, least), 1e6) for x in (point.low, point.mean, point.high))
    return max(mean - low, 0.0), max(high - mean, 0.0)


def _scale_up(block: Sequence[Axes], metric: str, num_samples: int, across: int) -> None:
    """Give the panels of a metric one scale, a label at the left, and for worth the line of an exact sampler."""
    is_worth = metric.startswith(HARMONIC)
    for panel in block:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(numticks=8))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_minor_locator(NullLocator())
    low = max(min(panel.get_ylim()[0] for panel in block), _LEAST[is_worth])
    high = max(panel.get_ylim()[1] for panel in block)
    if is_worth:
        high = min(max(high, 1.3 * num_samples), 4 * num_samples)
    for i, panel in enumerate(block):
        panel.set_ylim(low, high)
        panel.tick_params(labelleft=i % across == 0, labelbottom=i + across >= len(block))
        if i % across == 0:
            panel.set_ylabel(metric)
        if is_worth:
            panel.axhline(num_samples, color=INK, linewidth=0.9, linestyle=":")


def _handles(styles: Mapping[str, Look]) -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            color=look.colour,
            marker=look.marker,
            markersize=3,
            linewidth=1,
            label=plain(method),
        )
        for method, look in styles.items()
    ]


def _first_overtakings(points: Sequence[BreakEven]) -> dict[str, float]:
    """Return, for each trained row, the number of measurements from which it is past all its break-even points."""
    rows: dict[str, float] = {}
    for point in points:
        rows[point.row] = max(rows.get(point.row, 0.0), point.measurements)
    return rows


def _overtaken(points: Sequence[BreakEven], count: int) -> list[str]:
    return [row for row, first in _first_overtakings(points).items() if first <= count]


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
