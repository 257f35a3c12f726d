"""Distance to the reference posterior for many methods: a line for each of them, and a panel for each task."""

from __future__ import annotations

import math
import textwrap
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

PRIOR = "unconditional"  # the method whose samples are draws of the prior
LINE = 0.094  # inches per method: 89 methods fill a page
SIZE = 5.5  # points of a method's name, which then fills its line
MOST_ACROSS = 8  # panels
MOST_TICKS = 4
PER_INCH = 17  # characters of a title
FAR = 3.0  # times the distance of draws of the prior; farther points do not stretch the scale


def draw_methods_down(results: Results, metric: str) -> Figure:
    """Draw the means of a metric with their intervals, the methods of a kind together; each task has its own scale."""
    across = min(MOST_ACROSS, len(results.tasks))
    down = math.ceil(len(results.tasks) / across)
    height = down * (LINE * len(results.methods) + 0.45) + 0.5
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = list(figure.subplots(down, across, sharey=True, squeeze=False).flat)
    for spare in panels[len(results.tasks) :]:
        spare.remove()
    for task, panel in zip(results.tasks, panels, strict=False):
        _draw_panel(panel, task, results, metric)
        words = textwrap.wrap(task, int(PER_INCH * 0.85 * WIDTH / across))
        panel.set_title(plain("\n".join(words)), loc="left", fontweight="bold", fontsize=6.5, pad=3)
        scale(panel, "x", _values(task, results, metric))
        _thin_out(panel)
    _name_methods(panels[0], results)
    name_axes(figure, f"{metric} to the reference posterior (data units)", "")
    band = Patch(facecolor=BAND, edgecolor=INK, linewidth=0.6, label=results.label(REFERENCE))
    drawn = points_of(results, (metric,))
    legend(figure, [band, *handles(results, shown=(), judged=drawn)])
    return figure


def _draw_panel(panel: Axes, task: str, results: Results, metric: str) -> None:
    """Draw the points of a task, and the reason in a word on the lines of methods that were tried without a number."""
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
    panel.grid(axis="x", color=HAIRLINE, linewidth=0.4)
    panel.set_axisbelow(True)


def _values(task: str, results: Results, metric: str) -> list[float]:
    """Return the means of a task and the low end of its floor, none of them farther than FAR."""
    lines = [results.line(task, method, metric) for method in (REFERENCE, *results.methods)]
    prior, floor = results.line(task, PRIOR, metric), lines[0]
    most = FAR * mean_of(prior) if has_mean(prior) else math.inf
    lows = [floor.low] if floor and floor.low is not None else []
    return [*(min(mean_of(line), most) for line in lines if has_mean(line)), *lows]


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
    """Keep at most MOST_TICKS ticks, so that their labels do not overlap in a narrow panel."""
    low, high = panel.get_xlim()
    ticks = [tick for tick in panel.get_xticks() if low <= tick <= high]
    step = math.ceil(len(ticks) / MOST_TICKS) or 1
    panel.set_xticks(ticks[::step])
    panel.tick_params(axis="x", labelsize=SIZE)
