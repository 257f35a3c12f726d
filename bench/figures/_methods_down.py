"""Distance to the reference posterior for many methods: a line for each of them, and a panel for each task."""

from __future__ import annotations

import math
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.core.kinds import OTHER
from bench.core.results import LEFT_OUT, REFERENCE, Results
from bench.figures._lines import (
    BAND,
    BAR,
    POINT,
    bar_ends,
    has_mean,
    mean_of,
    means_and_floors,
    points_of,
)
from bench.figures._style import (
    HAIRLINE,
    INK,
    MUTED,
    WIDTH,
    handles,
    legend,
    looks,
    marked,
    name_axes,
    plain,
    scale,
)

LINE = 0.094  # inches of a method: 89 of them fill a page
SIZE = 5.5  # points of its name, which is then as high as its line
MOST_ACROSS = 6  # panels
MOST_TICKS = 4


def draw_methods_down(results: Results, metric: str) -> Figure:
    """Draw the means of a metric with their intervals, the methods of a kind together; the panels share their axes."""
    across = min(MOST_ACROSS, len(results.tasks))
    down = math.ceil(len(results.tasks) / across)
    height = down * (LINE * len(results.methods) + 0.4) + 0.6
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = list(figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flat)
    for spare in panels[len(results.tasks) :]:
        spare.remove()
    for task, panel in zip(results.tasks, panels, strict=False):
        _draw_panel(panel, task, results, metric)
        panel.tick_params(labelbottom=True)
    _name_methods(panels[0], results)
    scale(panels[0], "x", means_and_floors(results, metric))
    _thin_out(panels[0])
    name_axes(figure, f"{metric} to the reference posterior (data units)", "")
    band = Patch(facecolor=BAND, edgecolor=INK, linewidth=0.6, label=results.label(REFERENCE))
    drawn = points_of(results, (metric,))
    legend(figure, [band, *handles(results, shown=(), judged=drawn)])
    return figure


def _draw_panel(panel: Axes, task: str, results: Results, metric: str) -> None:
    """Draw the points of a task, and a word on the lines of methods that were tried and have no number."""
    floor = results.line(task, REFERENCE, metric)
    if has_mean(floor):
        ((below,), (above,)) = bar_ends(floor)
        span = mean_of(floor) - below, mean_of(floor) + above
        panel.axvspan(*span, facecolor=BAND, alpha=0.7, linewidth=0, zorder=1)
        panel.axvline(mean_of(floor), color=INK, linewidth=0.8, zorder=1.5)
    styles = looks(results.methods, results.kinds)
    for level, method in enumerate(results.methods):
        line = results.line(task, method, metric)
        if has_mean(line):
            style = {**POINT, **BAR, **marked(results, task, method, styles[method])}
            style |= {"markersize": 3.5}
            panel.errorbar(mean_of(line), level, xerr=bar_ends(line), **style)
        elif line and line.reason != LEFT_OUT:
            word, place = line.reason.split(" (")[0], panel.get_yaxis_transform()
            style = {"fontsize": SIZE, "color": MUTED, "ha": "right", "va": "center"}
            panel.text(0.98, level, plain(word), transform=place, **style)
    # a longer name would run into the next panel
    size = min(7.0, 1.45 * 72 * panel.get_position().width * WIDTH / max(len(task), 1))
    panel.set_title(plain(task), loc="left", fontweight="bold", fontsize=size, pad=3)
    panel.grid(axis="x", color=HAIRLINE, linewidth=0.4)
    panel.set_axisbelow(True)


def _name_methods(panel: Axes, results: Results) -> None:
    """Write the names of the methods at the left, and draw lines between kinds through all panels."""
    levels = range(len(results.methods))
    panel.set_yticks(levels, [plain(results.label(method)) for method in results.methods])
    panel.set_ylim(len(results.methods) - 0.5, -0.5)
    kinds = [results.kinds.get(method, OTHER) for method in results.methods]
    ends = [i + 0.5 for i, (kind, following) in enumerate(pairwise(kinds)) if kind != following]
    for axes in panel.figure.axes:
        axes.tick_params(axis="y", length=0, labelsize=SIZE, labelcolor=INK)
        for end in ends:
            axes.axhline(end, color=HAIRLINE, linewidth=0.5)


def _thin_out(panel: Axes) -> None:
    """Leave so many ticks that their labels do not run into each other in a narrow panel."""
    low, high = panel.get_xlim()
    ticks = [tick for tick in panel.get_xticks() if low <= tick <= high]
    step = math.ceil(len(ticks) / MOST_TICKS)
    panel.set_xticks(ticks[::step])
