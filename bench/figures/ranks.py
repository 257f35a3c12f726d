"""Critical-difference diagram: mean ranks over tasks, and which methods cannot be told apart by them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MultipleLocator

from bench.core.results import DISTANCE, Drawing, Ranking, Results
from bench.core.text import csv_text
from bench.figures._style import HAIRLINE, INK, MUTED, WIDTH, Look, looks, plain

__all__ = ["Ranks"]

_TITLE, _ROW, _AXIS = 0.62, 0.2, 0.42  # inches: above a panel, per method, below
_POINT: dict[str, Any] = {"markersize": 5, "markeredgecolor": "white", "markeredgewidth": 0.5}
_POINT |= {"zorder": 3, "clip_on": False}
_TIE: dict[str, Any] = {"color": INK, "linewidth": 2.6, "solid_capstyle": "butt", "clip_on": False}
_COLUMNS = (
    "metric",
    "budget",
    "method",
    "mean_rank",
    "low",
    "high",
    "critical_difference",
    "num_tasks",
    "tasks",
    "reason",
)


@dataclass(frozen=True)
class Ranks:
    """A panel per metric, methods from best to worst; a bar joins those whose mean ranks are not told apart."""

    # ids, a panel each
    metrics: tuple[str, ...] = (DISTANCE, "mean_error", "diversity_ratio", "coverage_exact@0.9")

    caption: ClassVar[str] = (
        "Critical-difference diagrams. The mean rank of a method is one plus a sum over the other methods: of the "
        "tasks where both ran, the share on which the other has the better mean (for a metric with a target, the mean "
        "nearer to it). A method that failed on a measurement of a task is last on that task. In brackets: the number "
        "of tasks on which a method ran, if not all. Whiskers: 95 % interval over tasks; none if all tasks agree. A "
        "bar on the right joins methods whose mean ranks differ by no more than the critical difference (5 % over all "
        "pairs), so that they cannot be told apart."
    )

    def draw(self, results: Results) -> Drawing:
        rankings = results.rankings(self.metrics)
        rows = max((len(ranking.methods) for ranking in rankings), default=1)
        num_rows = max(1, (len(rankings) + 1) // 2)
        height = num_rows * (_TITLE + _ROW * (rows + 1.5) + _AXIS)
        layout = ConstrainedLayoutEngine(wspace=0.08, hspace=0.06)
        figure = Figure(figsize=(WIDTH, height), layout=layout)
        if not rankings:
            figure.text(0.5, 0.5, "No two methods ran on the same tasks.", color=MUTED, ha="center")
        panels = list(figure.subplots(num_rows, 2, squeeze=False).flat)
        for spare in panels[len(rankings) :]:
            spare.remove()
        for panel, ranking in zip(panels, rankings, strict=False):
            _draw_panel(panel, ranking, results)
        return Drawing(figure, _csv(rankings))


def _draw_panel(panel: Axes, ranking: Ranking, results: Results) -> None:
    num = len(ranking.methods)
    _draw_methods(panel, ranking, looks(results.methods, results.kinds))
    for place, (first, last) in enumerate(ranking.ties):
        across = 1.03 + 0.025 * place
        panel.plot(
            [across] * 2, [first - 0.3, last + 0.3], transform=panel.get_yaxis_transform(), **_TIE
        )
    _draw_critical(panel, ranking)
    panel.set_yticks(range(num), [plain(name) for name in _names(ranking)], color=INK, fontsize=7)
    panel.set(xlim=(1 - 0.02 * (num - 1), num), ylim=(num - 0.4, -1.7))
    panel.xaxis.set_major_locator(MultipleLocator(1 if num < 12 else 2))
    panel.tick_params(axis="y", length=0)
    panel.spines["left"].set_visible(False)
    panel.grid(axis="x", color=HAIRLINE, linewidth=0.4)
    panel.set_axisbelow(True)
    panel.set_xlabel(f"mean rank over {_tasks(len(ranking.tasks))} (1 is best)")
    lines = textwrap.wrap(_remark(ranking), 62, break_on_hyphens=False)
    panel.set_title(plain(ranking.title), loc="left", fontweight="bold", pad=4 + 6.5 * len(lines))
    words = panel.text(
        0, 1.02, plain("\n".join(lines)), transform=panel.transAxes, fontsize=5.5, color=MUTED
    )
    words.set_in_layout(False)


def _names(ranking: Ranking) -> list[str]:
    """Return the names of methods; a method that did not run on all tasks has the number of its tasks in brackets."""
    counts = zip(ranking.methods, ranking.num_tasks_of, strict=True)
    return [m if num == len(ranking.tasks) else f"{m} ({num})" for m, num in counts]


def _draw_methods(panel: Axes, ranking: Ranking, styles: Mapping[str, Look]) -> None:
    for row, (method, mean) in enumerate(zip(ranking.methods, ranking.mean, strict=True)):
        look, low, high = styles[method], ranking.low[row], ranking.high[row]
        if low is not None and high is not None:
            panel.plot([low, high], [row, row], color=look.colour, linewidth=0.9, zorder=2)
        panel.plot(mean, row, color=look.colour, marker=look.marker, **_POINT)


def _draw_critical(panel: Axes, ranking: Ranking) -> None:
    """Draw the critical difference to scale, above the methods."""
    words: dict[str, Any] = {"color": INK, "fontsize": 6, "va": "bottom"}
    if not ranking.can_tell:
        panel.text(
            1, -0.8, f"{_tasks(len(ranking.tasks))}: too few to tell any ranks apart", **words
        )
        return
    panel.plot(
        [1, 1 + ranking.critical], [-0.8] * 2, color=INK, linewidth=0.8, marker="|", markersize=4
    )
    panel.text(1, -0.95, f"critical difference {ranking.critical:.2f}", **words)


def _remark(ranking: Ranking) -> str:
    """Return a remark on tasks that are not counted and methods that are not ranked."""
    parts = [f"not counted: {', '.join(ranking.not_counted)}"] if ranking.not_counted else []
    few = [
        f"{method} ({_tasks(count)})".replace(" ", "\u00a0")
        for method, count in ranking.not_ranked.items()
    ]
    parts += [f"not ranked: {', '.join(few)}"] if few else []
    return "; ".join(parts)


def _tasks(count: int) -> str:
    return f"{count} task" + ("" if count == 1 else "s")


def _csv(rankings: Sequence[Ranking]) -> str:
    rows = []
    for r in rankings:
        numbers = zip(r.methods, r.mean, r.low, r.high, r.num_tasks_of, strict=True)
        tasks = " ".join(r.tasks)
        rows += [(r.metric, r.budget, *four, r.critical, num, tasks, "") for *four, num in numbers]
        few = r.not_ranked.items()
        rows += [
            (
                r.metric,
                r.budget,
                m,
                None,
                None,
                None,
                r.critical,
                0,
                tasks,
                f"n/a (ran on {_tasks(count)})",
            )
            for m, count in few
        ]
    return csv_text(_COLUMNS, rows)
