"""Figures of summarised numbers: fidelity against diversity, distance to the exact posterior, calibration, ranks."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from scipy.special import bdtr

from bench.core.text import csv_text
from bench.figures.style import (
    HAIRLINE,
    HEIGHT,
    INK,
    MUTED,
    STAR,
    WIDTH,
    Drawing,
    handles,
    labelled,
    legend,
    looks,
    scale,
    small_panels,
)
from bench.report.tables import DISTANCE
from bench.stats.columns import LEFT_OUT
from bench.stats.results import REFERENCE, Suite
from bench.stats.summary import LEVEL, Summary

DIVERSITY, FIDELITY, COVERAGE = "diversity_ratio", "mean_error", "coverage_exact@"
_BAR = {"elinewidth": 0.8, "linestyle": "none"}
_POINT = {"markersize": 4.5, "markeredgecolor": "white", "markeredgewidth": 0.5}
_BAND = "#c9ced6"


def fidelity_diversity(suite: Suite, lines: Sequence[Summary]) -> Drawing:
    """Error of the posterior mean against the ratio of diversities, a panel per task, the exact posterior as a star."""
    found = _index(lines)
    figure, panels = small_panels(_titles(suite, found, (DIVERSITY, FIDELITY)), height=1.65)
    for panel, task in zip(panels, suite.tasks, strict=True):
        panel.axvline(1, color=MUTED, linewidth=0.6, linestyle=":", zorder=1)
        for method, look in looks(suite.methods).items():
            x, y = found.get((task.name, method, DIVERSITY)), found.get((task.name, method, FIDELITY))
            if _has(x) and _has(y):
                style = {"color": look.colour, "marker": look.marker, **_POINT, **_BAR}
                panel.errorbar(x.mean, y.mean, xerr=_ends(x), yerr=_ends(y), **style)
        x, y = found.get((task.name, REFERENCE, DIVERSITY)), found.get((task.name, REFERENCE, FIDELITY))
        if _has(x) and _has(y):
            panel.errorbar(x.mean, y.mean, xerr=_ends(x), yerr=_ends(y), **STAR, **_BAR)
    scale(panels[0], "x", _means(lines, DIVERSITY))
    scale(panels[0], "y", _means(lines, FIDELITY))
    figure.supxlabel("diversity over that of the exact posterior", fontsize=7.5)
    figure.supylabel("error of the posterior mean", fontsize=7.5)
    star = Line2D([], [], linestyle="none", label="exact posterior (reference)", **STAR)
    legend(figure, [star, *handles(suite.methods)])
    return Drawing("fidelity-diversity", figure, _csv(suite, found, (DIVERSITY, FIDELITY)))


def distance(suite: Suite, lines: Sequence[Summary]) -> Drawing:
    """Distance to the exact posterior, a row per task, the floor as a band behind it."""
    found, methods = _index(lines), looks(suite.methods)
    step = 0.72 / max(len(methods), 1)
    height = min(len(suite.tasks) * (0.08 * len(methods) + 0.12) + 0.9, HEIGHT)
    figure = Figure(figsize=(WIDTH * 0.8, height), layout="constrained")
    axes = figure.subplots()
    scale(axes, "x", _means(lines, DISTANCE))
    for i, task in enumerate(suite.tasks):
        if i:
            axes.axhline(i - 0.5, color=HAIRLINE, linewidth=0.5)
        _draw_floor(axes, i, found.get((task.name, REFERENCE, DISTANCE)))
        absent: dict[str, dict[str, float]] = {}
        for j, (method, look) in enumerate(methods.items()):
            line, level = found.get((task.name, method, DISTANCE)), i + (j - (len(methods) - 1) / 2) * step
            if _has(line):
                style = {"color": look.colour, "marker": look.marker, **_POINT, **_BAR}
                axes.errorbar(line.mean, level, xerr=_ends(line), **style)
            elif line and line.reason != LEFT_OUT:
                absent.setdefault(line.reason.split(" (")[0], {})[method] = level
        for word, levels in absent.items():
            _write_absent(axes, float(np.mean(list(levels.values()))), f"{word}: {', '.join(levels)}")
    axes.set_yticks(range(len(suite.tasks)), [task.name for task in suite.tasks], color=INK, fontsize=7.5)
    axes.set_ylim(len(suite.tasks) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=HAIRLINE, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"{DISTANCE} to the exact posterior (data units)")
    band = Patch(facecolor=_BAND, edgecolor=INK, linewidth=0.6, label=labelled(REFERENCE))
    legend(figure, [band, *handles(suite.methods)])
    return Drawing("distance", figure, _csv(suite, found, (DISTANCE,)))


def calibration(suite: Suite, lines: Sequence[Summary]) -> Drawing:
    """Empirical against nominal coverage of central intervals, a panel per task."""
    drawing = _levels(suite, lines, "calibration", COVERAGE)
    drawing.figure.supxlabel("nominal level of the central interval", fontsize=7.5)
    drawing.figure.supylabel("share of exact draws inside", fontsize=7.5)
    return drawing


def tarp(suite: Suite, lines: Sequence[Summary]) -> Drawing:
    """TARP expected coverage of x_true against its level, a panel per task, and the band of a calibrated sampler."""
    drawing = _levels(suite, lines, "tarp", "tarp_x_true@", banded=True)
    drawing.figure.supxlabel("rank of x_true by distance to a point", fontsize=7.5)
    drawing.figure.supylabel("share of measurements below", fontsize=7.5)
    return drawing


def sbc(suite: Suite, lines: Sequence[Summary]) -> Drawing:
    """Distribution of the rank of x_true among the samples by data misfit, drawn as `tarp`."""
    drawing = _levels(suite, lines, "sbc", "sbc-misfit_x_true@", banded=True)
    drawing.figure.supxlabel("rank of x_true by data misfit", fontsize=7.5)
    drawing.figure.supylabel("share of measurements below", fontsize=7.5)
    return drawing


def sampling_band(level: float, num: int) -> tuple[float, float]:
    """Between which shares of `num` independent cases of that probability LEVEL or more of all outcomes are.

    Each tail is (1 - LEVEL) / 2 at most.
    """
    at_most = bdtr(np.arange(num + 1.0), num, level)
    at_least = 1 - np.concatenate([[0.0], at_most[:-1]])
    low, high = np.argmax(at_most > (1 - LEVEL) / 2), num - np.argmax(at_least[::-1] > (1 - LEVEL) / 2)
    return float(low / num), float(high / num)


def _levels(suite: Suite, lines: Sequence[Summary], stem: str, start: str, banded: bool = False) -> Drawing:
    """A curve per method of the metrics `start`<level> against their level; on the diagonal where all is well."""
    found = _index(lines)
    metrics = sorted({x.metric for x in lines if x.metric.startswith(start)}, key=_level)
    figure, panels = small_panels(_titles(suite, found, metrics), height=1.75)
    for panel, task in zip(panels, suite.tasks, strict=True):
        if banded:
            _draw_band(panel, suite.num_measurements)
        panel.plot([0, 1], [0, 1], color=MUTED, linewidth=0.7, linestyle=":")
        for method, look in looks(suite.methods).items():
            style = {"color": look.colour, "linewidth": 1, "marker": look.marker, "markersize": 3, "markeredgewidth": 0}
            _draw_curve(panel, [found.get((task.name, method, m)) for m in metrics], style)
        style = {"color": INK, "linewidth": 1, "linestyle": "--", "zorder": 4}
        _draw_curve(panel, [found.get((task.name, REFERENCE, m)) for m in metrics], style)
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    floor = Line2D([], [], color=INK, linewidth=1, linestyle="--", label="exact posterior (reference)")
    band = [Patch(facecolor=_BAND, label=f"calibrated, {LEVEL:.0%}")] if banded else []
    legend(figure, [*band, floor, *handles(suite.methods, line=True)])
    return Drawing(stem, figure, _csv(suite, found, metrics))


def _draw_band(panel: Axes, num_measurements: int) -> None:
    levels = np.linspace(0, 1, 101)
    low, high = np.transpose([sampling_band(level, num_measurements) for level in levels])
    panel.fill_between(levels, low, high, color=_BAND, alpha=0.5, linewidth=0, zorder=1)


def _draw_floor(axes: Axes, row: int, line: Summary | None) -> None:
    if not _has(line):
        return
    low, high = line.mean - _ends(line)[0][0], line.mean + _ends(line)[1][0]
    axes.add_patch(Rectangle((low, row - 0.46), high - low, 0.92, facecolor=_BAND, alpha=0.7, linewidth=0, zorder=1))
    axes.plot([line.mean] * 2, [row - 0.46, row + 0.46], color=INK, linewidth=0.8, zorder=1.5)


def _write_absent(axes: Axes, level: float, words: str) -> None:
    """Which methods have no number and why, in a word, at the height where they would be."""
    words = textwrap.fill(words, 44, break_on_hyphens=False)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    place = axes.get_yaxis_transform()
    style = {"fontsize": 5.5, "color": MUTED, "ha": "right", "va": "center", "bbox": box, "zorder": 1.5}  # below points
    axes.text(0.99, level, words, transform=place, **style)


def _draw_curve(panel: Axes, curve: Sequence[Summary | None], style: dict) -> None:
    points = [line for line in curve if _has(line)]
    if points:
        panel.plot([_level(line.metric) for line in points], [line.mean for line in points], clip_on=False, **style)


def _index(lines: Sequence[Summary]) -> dict[tuple[str, str, str], Summary]:
    return {(x.task, x.method, x.metric): x for x in lines}


def _titles(suite: Suite, found: dict, metrics: Sequence[str]) -> dict[str, str]:
    """Each task with a remark on the methods that have nothing to show there."""
    titles = {}
    for task in suite.tasks:
        absent = [m for m in suite.methods if not all(_has(found.get((task.name, m, metric))) for metric in metrics)]
        titles[task.name] = f"not shown: {', '.join(absent)}" if absent else ""
    return titles


def _csv(suite: Suite, found: dict, metrics: Sequence[str]) -> str:
    methods = (REFERENCE, *suite.methods)
    keys = [(task.name, method, metric) for task in suite.tasks for method in methods for metric in metrics]
    rows = [(*key, x.mean, x.low, x.high, x.reason) for key in keys if (x := found.get(key))]
    return csv_text(("task", "method", "metric", "mean", "low", "high", "reason"), rows)


def _has(line: Summary | None) -> bool:
    return line is not None and line.mean is not None


def _ends(line: Summary) -> list[list[float]]:
    """Lengths of the interval below and above the mean, as errorbar wants them."""
    return [[0.0 if end is None else abs(end - line.mean)] for end in (line.low, line.high)]


def _means(lines: Sequence[Summary], metric: str) -> list[float]:
    return [x.mean for x in lines if x.metric == metric and x.mean is not None]


def _level(metric: str) -> float:
    return float(metric.rpartition("@")[2])
