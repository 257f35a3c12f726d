"""The heat map of the summary: tasks down, methods across, how far each is from the floor of its task."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bench.core.results import LEFT_OUT, REFERENCE, Summary
from bench.core.text import rounded, shortened
from bench.report.front.columns import CEILING
from bench.report.front.standings import Front, Known, by_key, share_of_way
from bench.report.tables import ordered_methods
from bench.stats.results import SuiteResults, TaskResults


@dataclass(frozen=True)
class HeatCell:
    """A cell: its text, its colour from 0 (floor) to 1 (ceiling or beyond), and words that are shown on hover.

    heat: None where nothing is compared. state: "", "left-out", "n/a", "failed", or "other" for
    a method that saw another prior.
    """

    text: str
    heat: float | None
    words: str
    tied: bool = False
    state: str = ""


@dataclass(frozen=True)
class HeatMap:
    """Rows by task; `methods` are the columns. scale: a sentence on what colours mean."""

    methods: tuple[str, ...]
    rows: tuple[tuple[str, tuple[HeatCell, ...]], ...]
    scale: str


def heat_map(
    suite: SuiteResults,
    lines: Sequence[Summary],
    front: Front,
    bold: Collection[tuple[str, str, str]],
) -> HeatMap:
    """Return the heat map of the headline metric. bold: (task, method, metric) of what is tied with the best."""
    known = by_key(lines)
    shown = {row.method for row in front.rows}
    methods = tuple(m for m in ordered_methods(suite) if m in shown)
    has_ends = any((t.name, m, front.headline) in known for t in suite.tasks for m in (CEILING,))
    rows = []
    for task in suite.tasks:
        shares = _shares(task, methods, front, known)
        cells = (_cell(task, m, front.headline, known, bold, shares.get(m)) for m in methods)
        rows.append((task.name, tuple(cells)))
    ends = "the stronger the colour, the farther from the floor (exact draws), up to the ceiling (draws of the prior)"
    alone = "the stronger the colour, the farther from the best of the task"
    scale = ends if has_ends and REFERENCE in shown else alone
    return HeatMap(methods, tuple(rows), scale)


def _shares(
    task: TaskResults, methods: Sequence[str], front: Front, known: Known
) -> dict[str, float]:
    """Return the place of each method between floor and ceiling, else between the best and the worst of the task."""
    shares = {m: share_of_way(task, m, front.headline, known) for m in methods}
    found = {
        m: min(max(share, 0.0), 1.0) ** 0.5 for m, share in shares.items() if share is not None
    }
    if found or not front.goal:
        return found
    target = float(front.goal[1:]) if front.goal.startswith("=") else None
    losses = {}
    for m in methods:
        line = known.get((task.name, m, front.headline))
        if line and line.mean is not None:
            mean = line.mean if target is None else abs(line.mean - target)
            losses[m] = -mean if front.goal == "up" else mean
    best, worst = min(losses.values(), default=0.0), max(losses.values(), default=0.0)
    return {m: (x - best) / (worst - best) if worst > best else 0.0 for m, x in losses.items()}


def _cell(
    task: TaskResults,
    method: str,
    metric: str,
    known: Known,
    bold: Collection[tuple[str, str, str]],
    heat: float | None,
) -> HeatCell:
    line = known.get((task.name, method, metric))
    where = f"{task.name}, {method}"
    if line is None or line.mean is None:
        reason = line.reason if line else "n/a (not measured)"
        state = (
            "left-out" if reason == LEFT_OUT else "n/a" if reason.startswith("n/a") else "failed"
        )
        text = {"left-out": "", "n/a": "n/a", "failed": "failed"}[state]
        return HeatCell(text, None, f"{where}: {shortened(reason)}", state=state)
    mean, low, high = rounded(line.mean, line.low, line.high)
    tied = (task.name, method, metric) in bold
    parts = [f"{where}: {mean}" + (f" [{low}, {high}]" if low else "")]
    parts += ["tied with the best"] if tied else []
    parts += ["saw another prior: not ranked"] if method in task.unranked else []
    state = "other" if method in task.unranked else ""
    return HeatCell(mean, heat, ", ".join(parts), tied, state)
