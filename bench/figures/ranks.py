"""Critical-difference diagram: mean ranks over tasks, and which of them cannot be told apart."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from bench.core.text import csv_text
from bench.figures.style import HAIRLINE, INK, MUTED, WIDTH, Drawing, looks
from bench.stats.ranks import Ranking, rankings
from bench.stats.results import Suite
from bench.stats.summary import Summary

_TITLE, _ROW, _AXIS = 0.62, 0.2, 0.42  # inches: above a panel, per method, below
_GROUP = {"color": INK, "linewidth": 2.6, "solid_capstyle": "butt", "clip_on": False}
_COLUMNS = ("metric", "method", "mean_rank", "low", "high", "critical_difference", "num_tasks", "tasks", "reason")


def ranks(suite: Suite, lines: Sequence[Summary]) -> Drawing:
    """A panel per metric, methods from best to worst; a bar joins those whose mean ranks are not told apart."""
    found = rankings(suite)
    rows = max((len(ranking.methods) for ranking in found), default=1)
    num_rows = max(1, (len(found) + 1) // 2)
    height = num_rows * (_TITLE + _ROW * (rows + 1.5) + _AXIS)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.08, hspace=0.06)
    if not found:
        figure.text(0.5, 0.5, "No two methods ran on the same tasks.", color=MUTED, ha="center")
    panels = list(figure.subplots(num_rows, 2, squeeze=False).flat)
    for spare in panels[len(found) :]:
        spare.remove()
    for panel, ranking in zip(panels, found, strict=False):
        _draw(panel, ranking, suite)
    return Drawing("ranks", figure, _csv(found))


def _draw(panel: Axes, ranking: Ranking, suite: Suite) -> None:
    num = len(ranking.methods)
    found = looks(suite.methods)
    for row, (method, mean) in enumerate(zip(ranking.methods, ranking.mean, strict=True)):
        look, low, high = found[method], ranking.low[row], ranking.high[row]
        if low is not None:
            panel.plot([low, high], [row, row], color=look.colour, linewidth=0.9, zorder=2)
        style = {"markersize": 5, "markeredgecolor": "white", "markeredgewidth": 0.5, "zorder": 3, "clip_on": False}
        panel.plot(mean, row, color=look.colour, marker=look.marker, **style)
    for place, (first, last) in enumerate(ranking.groups):
        across = 1.03 + 0.025 * place
        panel.plot([across] * 2, [first - 0.3, last + 0.3], transform=panel.get_yaxis_transform(), **_GROUP)
    _draw_critical(panel, ranking)
    panel.set_yticks(range(num), ranking.methods, color=INK, fontsize=7)
    panel.set(xlim=(1 - 0.02 * (num - 1), num), ylim=(num - 0.4, -1.7))
    panel.xaxis.set_major_locator(MultipleLocator(1 if num < 12 else 2))
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
    panel.grid(axis="x", color=HAIRLINE, linewidth=0.4)
    panel.set_axisbelow(True)
    panel.set_xlabel(f"mean rank over {_tasks(len(ranking.tasks))} (1 is best)")
    lines = textwrap.wrap(_remark(ranking), 62, break_on_hyphens=False)
    panel.set_title(ranking.metric, loc="left", fontweight="bold", pad=4 + 6.5 * len(lines))
    words = panel.text(0, 1.02, "\n".join(lines), transform=panel.transAxes, fontsize=5.5, color=MUTED)
    words.set_in_layout(False)


def _draw_critical(panel: Axes, ranking: Ranking) -> None:
    """The critical difference to scale, above the methods."""
    words = {"color": INK, "fontsize": 6, "va": "bottom"}
    if not ranking.can_tell:
        panel.text(1, -0.8, f"{_tasks(len(ranking.tasks))}: too few to tell any ranks apart", **words)
        return
    panel.plot([1, 1 + ranking.critical], [-0.8] * 2, color=INK, linewidth=0.8, marker="|", markersize=4)
    panel.text(1, -0.95, f"critical difference {ranking.critical:.2f}", **words)


def _remark(ranking: Ranking) -> str:
    """Which tasks are not counted and which methods not ranked."""
    parts = [f"not counted: {', '.join(ranking.not_counted)}"] if ranking.not_counted else []
    few = [f"{method} ({_tasks(count)})" for method, count in ranking.not_ranked.items()]
    parts += [f"not ranked: {', '.join(few)}"] if few else []
    return "; ".join(parts)


def _tasks(count: int) -> str:
    return f"{count} task" + ("" if count == 1 else "s")


def _csv(found: Sequence[Ranking]) -> str:
    rows = []
    for r in found:
        common = (r.critical, len(r.tasks), " ".join(r.tasks))
        numbers = zip(r.methods, r.mean, r.low, r.high, strict=True)
        rows += [(r.metric, *four, *common, "") for four in numbers]
        few = r.not_ranked.items()
        rows += [(r.metric, m, None, None, None, *common, f"n/a (ran on {_tasks(count)})") for m, count in few]
    return csv_text(_COLUMNS, rows)
