"""Distance to the reference posterior: a row per task, the floor as a band behind it.

If there are more than MOST_IN_ROW methods, each has a line of its own, and each task a panel.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from bench.core.results import DISTANCE, LEFT_OUT, REFERENCE, Drawing, Results, Summary
from bench.figures._lines import (
    BAND,
    BAR,
    POINT,
    bar_ends,
    has_mean,
    lines_csv,
    mean_of,
    means_and_floors,
    points_of,
)
from bench.figures._methods_down import draw_methods_down
from bench.figures._style import (
    HAIRLINE,
    HEIGHT,
    INK,
    MUTED,
    WIDTH,
    handles,
    legend,
    looks,
    marked,
    plain,
    scale,
)

__all__ = ["Distance"]

MOST_IN_ROW = 24  # methods, as many as a table has in its columns


@dataclass(frozen=True)
class Distance:
    """Mean distance of each method with its interval, a row per task."""

    metric: str = DISTANCE  # id of the distance; lower is better

    caption: ClassVar[str] = (
        "Unbiased energy distance between the samples of each method and reference draws of the posterior: mean and "
        "99 % interval over measurements. Exact draws have distance 0 in expectation. The axis is linear near 0 and "
        "logarithmic beyond. Grey band: the floor, the distance of a second set of reference draws. "
        "Hollow markers: the method saw another prior than that of the reference posterior. "
        "Words at the right: methods without a number on that task; the tables give the reason."
    )

    def draw(self, results: Results) -> Drawing:
        is_long = len(results.methods) > MOST_IN_ROW
        figure = draw_methods_down(results, self.metric) if is_long else self._in_rows(results)
        return Drawing(figure, lines_csv(results, (self.metric,)))

    def _in_rows(self, results: Results) -> Figure:
        """Draw a row for each task with the points of all methods in it."""
        num_tasks = len(results.tasks)
        height = min(num_tasks * (0.08 * len(results.methods) + 0.12) + 0.9, HEIGHT)
        figure = Figure(figsize=(WIDTH * 0.8, height), layout="constrained")
        axes = figure.subplots()
        for row, task in enumerate(results.tasks):
            if row:
                axes.axhline(row - 0.5, color=HAIRLINE, linewidth=0.5)
            _draw_floor(axes, row, results.line(task, REFERENCE, self.metric))
            self._draw_task(axes, row, task, results)
        scale(axes, "x", means_and_floors(results, self.metric))
        axes.set_yticks(
            range(num_tasks), [plain(task) for task in results.tasks], color=INK, fontsize=7.5
        )
        axes.set_ylim(num_tasks - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color=HAIRLINE, linewidth=0.4)
        axes.set_axisbelow(True)
        axes.set_xlabel(f"{self.metric} to the reference posterior (data units)")
        band = Patch(facecolor=BAND, edgecolor=INK, linewidth=0.6, label=results.label(REFERENCE))
        drawn = points_of(results, (self.metric,))
        legend(figure, [band, *handles(results, judged=drawn)])
        return figure

    def _draw_task(self, axes: Axes, row: int, task: str, results: Results) -> None:
        """Draw a point for each method; for methods without a number, write the reason where the points would be."""
        lines = {method: results.line(task, method, self.metric) for method in results.methods}
        ran = [m for m, line in lines.items() if line and line.reason != LEFT_OUT]
        styles, step = looks(results.methods, results.kinds), 0.72 / max(len(ran), 1)
        absent: dict[str, dict[str, float]] = {}
        for j, method in enumerate(ran):
            line = lines[method]
            level = row + (j - (len(ran) - 1) / 2) * step
            if has_mean(line):
                style = {**POINT, **BAR, **marked(results, task, method, styles[method])}
                axes.errorbar(mean_of(line), level, xerr=bar_ends(line), **style)
            elif line:
                absent.setdefault(line.reason.split(" (")[0], {})[method] = level
        for word, levels in absent.items():
            _write_absent(
                axes, float(np.mean(list(levels.values()))), f"{word}: {', '.join(levels)}"
            )


def _draw_floor(axes: Axes, row: int, line: Summary | None) -> None:
    if not has_mean(line):
        return
    mean, ((below,), (above,)) = mean_of(line), bar_ends(line)
    place = (mean - below, row - 0.46)
    axes.add_patch(
        Rectangle(place, below + above, 0.92, facecolor=BAND, alpha=0.7, linewidth=0, zorder=1)
    )
    axes.plot([mean] * 2, [row - 0.46, row + 0.46], color=INK, linewidth=0.8, zorder=1.5)


def _write_absent(axes: Axes, level: float, words: str) -> None:
    """Write which methods have no number, with the reason in a word, behind the points."""
    words = textwrap.fill(words, 44, break_on_hyphens=False)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    style: dict[str, Any] = {
        "fontsize": 5.5,
        "color": MUTED,
        "ha": "right",
        "va": "center",
        "zorder": 1.5,
    }
    axes.text(0.99, level, plain(words), transform=axes.get_yaxis_transform(), bbox=box, **style)
