"""What training buys and what it may cost: break-even points of amortised methods, and collapse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator

from bench.core.text import csv_text
from bench.figures.style import HAIRLINE, INK, MUTED, STAR, WIDTH, Drawing, handles, legend, looks, small_panels
from bench.stats.results import BASELINES, Suite
from bench.stats.summary import Summary

DIVERSITY, COVERAGE, LEVEL = "diversity_ratio", "coverage_exact@0.9", 0.9
_FAR = 1e5  # measurements: as far to the right as the figure goes
_LEAST = 1e-3  # diversity, where the logarithmic axis ends: equal samples have none at all
_CORNER = "#fbe9e2"
_RING = {"marker": "o", "markersize": 3.6, "markerfacecolor": "white", "color": INK, "markeredgewidth": 0.7}
_RING |= {"linestyle": "none", "zorder": 5}


@dataclass(frozen=True)
class Bill:
    """Seconds that a method takes on one task."""

    training: float
    per_measurement: float

    def total(self, num_measurements: float) -> float:
        return self.training + num_measurements * self.per_measurement

    @property
    def is_amortised(self) -> bool:
        """Training that is done sooner than one measurement is none to speak of."""
        return self.training > self.per_measurement


def break_even(amortised: Bill, iterative: Bill) -> float:
    """From how many measurements on the amortised method has spent less; infinite where it never does."""
    saved = iterative.per_measurement - amortised.per_measurement
    return (amortised.training - iterative.training) / saved if saved > 0 else math.inf


def amortisation(suite: Suite, lines: Sequence[Summary]) -> Drawing:
    """Total seconds against the number of measurements, a panel per task where an amortised method ran."""
    bills = {task.name: _bills(suite, task.name, lines) for task in suite.tasks}
    with_training = {task: found for task, found in bills.items() if any(b.is_amortised for b in found.values())}
    shown = with_training or bills
    points = {task: _break_evens(found) for task, found in shown.items()}
    figure, panels = small_panels({task: _remark(points[task]) for task in shown}, height=1.75)
    far = _end(points)
    for panel, (task, found) in zip(panels, shown.items(), strict=True):
        num_measurements = np.geomspace(1, far, 60)
        for method, look in looks(suite.methods).items():
            if method in found:
                style = {"color": look.colour, "linewidth": 1, "marker": look.marker, "markersize": 3, "markevery": 59}
                panel.plot(num_measurements, [found[method].total(n) for n in num_measurements], **style)
        _mark(panel, found, points[task], far)
        panel.set(xscale="log", yscale="log", xlim=(1, far))
        panel.minorticks_off()
    figure.supxlabel("number of measurements", fontsize=7.5)
    figure.supylabel("seconds, training and sampling", fontsize=7.5)
    ring = Line2D([], [], label="break-even", **_RING)
    ran = {method for found in shown.values() for method in found}
    kept = [handle for handle in handles(suite.methods, line=True) if handle.get_label() in ran]
    legend(figure, [ring, *kept])
    return Drawing("amortisation", figure, _csv_of_bills(bills))


def _bills(suite: Suite, task: str, lines: Sequence[Summary]) -> dict[str, Bill]:
    """Of the methods that ran, without the baselines."""
    means = {(x.method, x.metric): x.mean for x in lines if x.task == task and x.mean is not None}
    return {
        method: Bill(means[method, "train_seconds"], suite.num_samples * means[method, "seconds_per_sample"])
        for method in suite.methods
        if method not in BASELINES and (method, "seconds_per_sample") in means
    }


def _break_evens(bills: Mapping[str, Bill]) -> dict[tuple[str, str], float]:
    """Of each amortised method against each other one."""
    return {
        (one, other): break_even(bills[one], bills[other])
        for one in bills
        for other in bills
        if bills[one].is_amortised and not bills[other].is_amortised
    }


def _mark(panel: Axes, bills: Mapping[str, Bill], points: Mapping[tuple[str, str], float], far: float) -> None:
    for (_, other), num_measurements in points.items():
        if 1 <= num_measurements <= far:
            panel.plot(num_measurements, bills[other].total(num_measurements), **_RING)


def _end(points: Mapping[str, Mapping]) -> float:
    """The power of ten behind the last break-even point."""
    last = max((n for found in points.values() for n in found.values() if math.isfinite(n)), default=1.0)
    return min(max(10.0 ** math.ceil(math.log10(2 * max(last, 1))), 1e3), _FAR)


def _remark(points: Mapping[tuple[str, str], float]) -> str:
    """The first and the last break-even point of each amortised method."""
    words = []
    for one in dict.fromkeys(method for method, _ in points):
        ends = sorted(n for (method, _), n in points.items() if method == one)
        first, last = (_number(n) for n in (ends[0], ends[-1]))
        words.append(f"{one} {first}" if first == last else f"{one} {first} to {last}")
    return f"break-even: {', '.join(words)}" if words else ""


def _number(num_measurements: float) -> str:
    return "never" if math.isinf(num_measurements) else f"{math.ceil(max(num_measurements, 1))}"


def _csv_of_bills(bills: Mapping[str, Mapping[str, Bill]]) -> str:
    rows = []
    for task, found in bills.items():
        rows += [(task, method, bill.training, bill.per_measurement, "", "") for method, bill in found.items()]
        for (one, other), n in _break_evens(found).items():
            bill = found[one]
            rows.append((task, one, bill.training, bill.per_measurement, other, "never" if math.isinf(n) else n))
    return csv_text(("task", "method", "train_seconds", "seconds_per_measurement", "against", "break_even"), rows)


def collapse(suite: Suite, lines: Sequence[Summary]) -> Drawing:
    """Coverage against diversity, a small marker per task and a large one for the mean; collapse is the lower left."""
    points = _points(suite, lines)
    means = {method: _mean(list(of_method.values())) for method, of_method in points.items()}
    figure = Figure(figsize=(WIDTH * 0.76, 3.7), layout="constrained")
    axes, halo = figure.subplots(), withStroke(linewidth=2, foreground=_CORNER)
    for method, look in looks(suite.methods).items():
        if method in points:
            style = {"color": look.colour, "marker": look.marker, "linestyle": "none", "markeredgecolor": "white"}
            axes.plot(*zip(*points[method].values()), markersize=3.5, alpha=0.6, markeredgewidth=0.2, **style)
            axes.plot(*means[method], markersize=8, markeredgewidth=0.7, zorder=5, **style)
            if _is_collapsed(*means[method]):
                place = {"xytext": (6, -2.5), "textcoords": "offset points", "zorder": 6, "fontweight": "bold"}
                axes.annotate(method, means[method], color=look.colour, path_effects=[halo], **place)
    axes.plot(1, LEVEL, linestyle="none", **{**STAR, "zorder": 7})
    _frame(axes, [point for of_method in points.values() for point in of_method.values()])
    axes.set_xlabel(f"{DIVERSITY} (1: as the exact posterior)")
    axes.set_ylabel(f"{COVERAGE} (0.9: calibrated)")
    star = Line2D([], [], linestyle="none", label="exact posterior", **STAR)
    legend(figure, [star, *(handle for handle in handles(suite.methods) if handle.get_label() in points)])
    rows = [(task, m, *xy) for m, of_method in points.items() for task, xy in {**of_method, "mean": means[m]}.items()]
    return Drawing("collapse", figure, csv_text(("task", "method", DIVERSITY, COVERAGE), rows))


def _points(suite: Suite, lines: Sequence[Summary]) -> dict[str, dict[str, tuple[float, float]]]:
    """Diversity ratio and coverage by method and task; not of the ceiling, which knows no y."""
    found = {(x.task, x.method, x.metric): x.mean for x in lines if x.mean is not None}
    points: dict[str, dict[str, tuple[float, float]]] = {}
    for method in suite.methods:
        for task in suite.tasks:
            ratio, share = (found.get((task.name, method, metric)) for metric in (DIVERSITY, COVERAGE))
            if method != "unconditional" and ratio is not None and share is not None:
                points.setdefault(method, {})[task.name] = max(ratio, _LEAST), share
    return points


def _mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Geometric of the ratios, arithmetic of the shares."""
    return float(np.exp(np.mean([math.log(x) for x, _ in points]))), float(np.mean([y for _, y in points]))


def _is_collapsed(diversity: float, coverage: float) -> bool:
    """Far enough from the star to be named."""
    return diversity < 0.9 and coverage < LEVEL - 0.03


def _frame(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """Limits that hold star and points, and the names of the corners."""
    x, y = [1.0, *(x for x, _ in points)], [LEVEL, *(y for _, y in points)]
    left, right = min(*x, 0.5) / 1.15, max(*x, 2.0) * 1.15
    bottom, top = min(*y, 0.75) - 0.07, min(max(*y, LEVEL) + 0.04, 1.005)
    axes.set(xscale="log", xlim=(left, right), ylim=(bottom, top))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if right < 30 * left else (1,), numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()
    axes.grid(color=HAIRLINE, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.add_patch(Rectangle((left, bottom), 1 - left, LEVEL - bottom, facecolor=_CORNER, linewidth=0, zorder=0))
    words = {"transform": axes.transAxes, "fontsize": 6.5, "color": MUTED, "va": "bottom", "linespacing": 1.3}
    axes.text(0.015, 0.015, "collapsed and over-confident:\nsamples too much alike, intervals too narrow", **words)
    axes.text(0.985, 0.015, "spread out,\nbut in the wrong place", ha="right", **words)
