"""Collapse: coverage against diversity, all tasks in one panel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator

from bench.core.results import Drawing, Results
from bench.core.text import csv_text
from bench.figures._lines import has_mean, mean_of
from bench.figures._style import (
    HAIRLINE,
    MUTED,
    STAR,
    WIDTH,
    Look,
    handles,
    legend,
    looks,
    marked,
    plain,
    star_handle,
)

__all__ = ["Collapse"]

# ends of the logarithmic axis: equal samples have a diversity of 0, and that of a posterior may be nearly 0
_LEAST, _MOST = 1e-3, 1e3
_CORNER = "#fbe9e2"
_SMALL: dict[str, Any] = {"markersize": 3.5, "markeredgewidth": 0.2, "markeredgecolor": "white"}
_SMALL |= {"alpha": 0.6, "linestyle": "none"}
_LARGE: dict[str, Any] = {"markersize": 8, "markeredgewidth": 0.7, "markeredgecolor": "white"}
_LARGE |= {"linestyle": "none", "zorder": 5}
_POINTS, _LINE = 170, 9  # height of the panel, about, and of a line of text
Point = tuple[float, float]  # diversity, coverage


@dataclass(frozen=True)
class Collapse:
    """A small marker per task and method, a large one for the method; collapse is the lower left."""

    diversity: str = "diversity_ratio"  # id of the metric across; 1 is the reference posterior's
    # id of the metric upwards; its nominal level follows the @
    coverage: str = "coverage_exact@0.9"

    caption: ClassVar[str] = (
        "Coverage of 90 % intervals against diversity, as a ratio to that of the reference posterior: a small marker "
        "for each task and a large one for all (median of the ratios, mean of the shares). The star is the reference "
        "posterior; ratios below 0.001 and above 1000 are drawn there. Methods trained by reverse KL divergence tend "
        "to the shaded corner, where samples are too much alike and intervals too narrow. Hollow markers, which do "
        "not count in large ones: the method saw another prior than the one whose posterior it is compared with. The "
        "row unconditional and cells without a number are not shown."
    )

    @property
    def level(self) -> float:
        return float(self.coverage.rpartition("@")[2])

    def draw(self, results: Results) -> Drawing:
        points = self._points(results)
        middles = {method: _middle(results, method, points[method]) for method in points}
        figure = Figure(figsize=(WIDTH * 0.76, 3.7), layout="constrained")
        axes = figure.subplots()
        drawn = {(task, method): xy for method in points for task, xy in points[method].items()}
        _draw_frame(axes, list(drawn.values()), self.level)
        for method, look in looks(results.methods, results.kinds).items():
            if method in points:
                for task, point in points[method].items():
                    axes.plot(*point, **_SMALL | marked(results, task, method, look))
                if middle := middles[method]:
                    axes.plot(*middle, **_LARGE, color=look.colour, marker=look.marker)
        self._name_collapsed(axes, middles, looks(results.methods, results.kinds))
        axes.plot(1, self.level, linestyle="none", **{**STAR, "zorder": 7})
        axes.set_xlabel(f"{self.diversity} (1: as the reference posterior)")
        axes.set_ylabel(f"{self.coverage} ({self.level:g}: calibrated)")
        legend(figure, [star_handle(), *handles(results, list(points), judged=drawn)])
        columns = ("task", "method", self.diversity, self.coverage)
        rows = []
        for method, of_method in points.items():
            with_middle = of_method | ({"all tasks": middle} if (middle := middles[method]) else {})
            rows += [(task, method, *xy) for task, xy in with_middle.items()]
        return Drawing(figure, csv_text(columns, rows))

    def _points(self, results: Results) -> dict[str, dict[str, Point]]:
        """Return points by method and task, without the method `unconditional`, which does not see y."""
        points: dict[str, dict[str, Point]] = {}
        for method in results.methods:
            for task in results.tasks:
                ratio, share = (
                    results.line(task, method, metric) for metric in (self.diversity, self.coverage)
                )
                if method != "unconditional" and has_mean(ratio) and has_mean(share):
                    points.setdefault(method, {})[task] = (
                        min(max(mean_of(ratio), _LEAST), _MOST),
                        mean_of(share),
                    )
        return points

    def _name_collapsed(
        self, axes: Axes, middles: Mapping[str, Point | None], styles: Mapping[str, Look]
    ) -> None:
        """Write the names of methods far enough from the star, upwards, each above the one before it."""
        named = [
            (middle, method)
            for method, middle in middles.items()
            if middle and middle[0] < 0.9 and middle[1] < self.level - 0.05
        ]
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        free, point = bottom, (top - bottom) / _POINTS
        for middle, method in sorted(named, key=lambda pair: pair[0][1]):
            # the name is written towards the middle of the panel
            is_left = middle[0] ** 2 < left * right
            height = max(middle[1], free)
            free = height + _LINE * point
            axes.annotate(
                plain(method),
                middle,
                xytext=(6 if is_left else -6, (height - middle[1]) / point - 2.5),
                textcoords="offset points",
                ha="left" if is_left else "right",
                zorder=6,
                color=styles[method].colour,
                fontweight="bold",
                path_effects=[withStroke(linewidth=2, foreground=_CORNER)],
            )


def _middle(results: Results, method: str, points: Mapping[str, Point]) -> Point | None:
    """Return the median of the ratios and the mean of the shares, over tasks whose prior the method saw.

    The median is that of their logarithms: where the posterior is nearly one image, a ratio can be any number, and it
    would decide a mean. None if there is no such task.
    """
    own = [point for task, point in points.items() if results.is_ranked(task, method)]
    if not own:
        return None
    ratio = np.exp(np.median([math.log(x) for x, _ in own]))
    return float(ratio), float(np.mean([y for _, y in own]))


def _draw_frame(axes: Axes, points: Sequence[Point], level: float) -> None:
    """Set limits that contain star and points, shade the corner of collapse, and name the corners."""
    x, y = [1.0, *(x for x, _ in points)], [level, *(y for _, y in points)]
    left, right = min(*x, 0.5) / 1.15, max(*x, 2.0) * 1.15
    top = min(max(*y, level) + 0.04, 1.005)
    bottom = min(*y, 0.75) - 0.16 * (top - min(*y, 0.75))  # room for the names of the corners
    axes.set(xscale="log", xlim=(left, right), ylim=(bottom, top))
    axes.xaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5) if right < 30 * left else (1,), numticks=12)
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()
    axes.grid(color=HAIRLINE, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.add_patch(
        Rectangle(
            (left, bottom), 1 - left, level - bottom, facecolor=_CORNER, linewidth=0, zorder=0
        )
    )
    words: Mapping[str, Any] = {
        "transform": axes.transAxes,
        "fontsize": 6.5,
        "color": MUTED,
        "va": "bottom",
    }
    collapsed = "collapsed and over-confident:\nsamples too much alike, intervals too narrow"
    axes.text(0.015, 0.015, collapsed, linespacing=1.3, **words)
    axes.text(
        0.985, 0.015, "spread out,\nbut in the wrong place", ha="right", linespacing=1.3, **words
    )
