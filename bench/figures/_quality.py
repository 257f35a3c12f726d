"""Distance to the reference posterior against the cost of a sample, a panel per task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from matplotlib.lines import Line2D

from bench.core.results import BASELINES, REFERENCE, Drawing, Results
from bench.core.text import csv_text
from bench.figures._lines import means_and_floors
from bench.figures._style import (
    INK,
    handles,
    legend,
    looks,
    marked,
    name_axes,
    scale,
    small_panels,
)

ROWS, SECONDS, TRAINING = "nfe + nfe_vjp", "seconds_per_sample", "train_seconds"
_POINT: dict[str, Any] = {"markersize": 4, "markeredgecolor": "white", "markeredgewidth": 0.4}
_POINT |= {"linestyle": "none", "elinewidth": 0.7}


@dataclass(frozen=True)
class Quality:
    """Distance of a method on a task with its interval, rows and seconds per sample, and seconds of training."""

    mean: float
    low: float
    high: float
    rows: float
    seconds: float
    training: float


def draw_quality(results: Results, metric: str, cost: str, least: float, words: str) -> Drawing:
    """Draw the distance `metric` against `cost`, the field `rows` or `seconds` of Quality, neither with training.

    least: the smallest cost drawn; smaller ones are moved there. words: the label of the axis across.
    """
    points = _qualities(results, metric)
    tasks = [task for task in results.tasks if any(key[0] == task for key in points)]
    figure, panels = small_panels(dict.fromkeys(tasks or ["no number"], ""), height=1.45)
    costs = {key: max(getattr(point, cost), least) for key, point in points.items()}
    for panel, task in zip(panels, tasks, strict=False):
        floor = results.line(task, REFERENCE, metric)
        if floor and floor.mean is not None:
            panel.axhline(floor.mean, color=INK, linewidth=0.9, linestyle="--")
        for method, look in looks(results.methods, results.kinds).items():
            if point := points.get((task, method)):
                ends = [[point.mean - point.low], [point.high - point.mean]]
                style = _POINT | marked(results, task, method, look)
                panel.errorbar(costs[task, method], point.mean, yerr=ends, **style)
    if points:
        scale(panels[0], "x", list(costs.values()))
        scale(panels[0], "y", means_and_floors(results, metric))
    name_axes(figure, words, f"{metric} to the reference posterior")
    line = Line2D(
        [], [], color=INK, linewidth=0.9, linestyle="--", label="reference posterior (floor)"
    )
    shown = [method for _, method in points]
    legend(figure, [line, *handles(results, shown, judged=points)])
    columns = ("task", "method", metric, "low", "high", ROWS, SECONDS, TRAINING)
    rows = ((*key, *asdict(point).values()) for key, point in points.items())
    return Drawing(figure, csv_text(columns, rows))


def _qualities(results: Results, metric: str) -> dict[tuple[str, str], Quality]:
    """Return the numbers by task and method, without the baselines, which nobody would choose as samplers."""
    clocked = {(x["task"], x["method"]): x["curve"][-1] for x in results.timings if x.get("curve")}
    points = {}
    for line in results.lines_of(metric):
        task, method = line.task, line.method
        costs = [results.line(task, method, name) for name in ("nfe", "nfe_vjp", SECONDS, TRAINING)]
        known = [x.mean for x in costs if x and x.mean is not None]
        if line.mean is None or method in BASELINES or len(known) < len(costs):
            continue
        forward, backward, seconds, training = known
        if cell := clocked.get((task, method)):
            seconds = cell["median"] / cell["s"]
        low, high = (line.mean if end is None else end for end in (line.low, line.high))
        points[task, method] = Quality(line.mean, low, high, forward + backward, seconds, training)
    return points
