"""What samples cost: distance to the exact posterior against network rows and seconds, and seconds against samples."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.core.artefacts import Json
from bench.core.text import csv_text
from bench.figures.style import HAIRLINE, INK, MUTED, WIDTH, Drawing, Look, handles, legend, looks, scale, small_panels
from bench.report.tables import DISTANCE
from bench.stats.results import BASELINES, REFERENCE, Suite
from bench.stats.summary import Summary

ROWS, SECONDS = "nfe + nfe_vjp", "seconds_per_sample"
_POINT = {"markersize": 4, "markeredgecolor": "white", "markeredgewidth": 0.4, "linestyle": "none", "elinewidth": 0.7}


def quality_rows(suite: Suite, lines: Sequence[Summary]) -> Drawing:
    """Distance to the exact posterior against the rows through the prior's network per sample, a panel per task."""
    words = "rows through the prior's network per sample, forward and backward (at least 1)"
    return _quality(suite, lines, "cost", "rows", 1, words)


def quality_seconds(suite: Suite, lines: Sequence[Summary]) -> Drawing:
    """The same against the seconds per sample, of the jobs; where the clock took a run's, its own."""
    exception = ", but where a clock took them" if suite.timings else ""
    words = f"seconds per sample, of the jobs: a rough figure{exception}"
    return _quality(suite, lines, "cost-seconds", "seconds", 0, words)


def _quality(suite: Suite, lines: Sequence[Summary], stem: str, cost: str, least: float, words: str) -> Drawing:
    """Training is in neither cost."""
    points = _points(suite, lines)
    floors = {x.task: x.mean for x in lines if (x.method, x.metric) == (REFERENCE, DISTANCE) and x.mean is not None}
    tasks = [task.name for task in suite.tasks if any(key[0] == task.name for key in points)]
    figure, panels = small_panels({task: "" for task in tasks or ["no number"]}, height=1.45)
    for panel, task in zip(panels, tasks, strict=False):
        panel.axhline(floors[task], color=INK, linewidth=0.9, linestyle="--") if task in floors else None
        for method, look in looks(suite.methods).items():
            if point := points.get((task, method)):
                ends = [[point["mean"] - point["low"]], [point["high"] - point["mean"]]]
                style = {"color": look.colour, "marker": look.marker, **_POINT}
                panel.errorbar(max(point[cost], least), point["mean"], yerr=ends, **style)
    if points:
        scale(panels[0], "x", [max(point[cost], least) for point in points.values()])
        scale(panels[0], "y", [point["mean"] for point in points.values()])
    figure.supxlabel(words, fontsize=7.5)
    figure.supylabel(f"{DISTANCE} to the exact posterior", fontsize=7.5)
    floor = Line2D([], [], color=INK, linewidth=0.9, linestyle="--", label="exact posterior (reference)")
    shown = {method for _, method in points}
    legend(figure, [floor, *(h for h, m in zip(handles(suite.methods), suite.methods, strict=True) if m in shown)])
    columns = ("task", "method", DISTANCE, "low", "high", ROWS, SECONDS, "train_seconds")
    keys = ("mean", "low", "high", "rows", "seconds", "training")
    return Drawing(stem, figure, csv_text(columns, ((*key, *(p[k] for k in keys)) for key, p in points.items())))


def _points(suite: Suite, lines: Sequence[Summary]) -> dict[tuple[str, str], dict[str, float]]:
    """By task and method; not of the baselines, which nobody pays for."""
    clocked = {(x["task"], x["method"]): x["curve"][-1] for x in suite.timings if x.get("curve")}
    found = {(x.task, x.method, x.metric): x for x in lines if x.mean is not None}
    points = {}
    for task, method, metric in found:
        costs = [found.get((task, method, name)) for name in ("nfe", "nfe_vjp", SECONDS, "train_seconds")]
        if metric == DISTANCE and method not in BASELINES and all(costs):
            forward, backward, seconds, training = (x.mean for x in costs)
            x = found[task, method, DISTANCE]
            ends = {"low": x.mean if x.low is None else x.low, "high": x.mean if x.high is None else x.high}
            if cell := clocked.get((task, method)):
                seconds = cell["median"] / cell["s"]
            cost = {"rows": forward + backward, "seconds": seconds, "training": training}
            points[task, method] = {"mean": x.mean, **ends, **cost}
    return points


def seconds_samples(suite: Suite) -> Drawing:
    """What more samples of one measurement cost, what those of a chain are worth, and what one that counts costs."""
    timed = [timing for timing in suite.timings if timing.get("curve")]
    tasks = list(dict.fromkeys(timing["task"] for timing in timed))
    figure = Figure(figsize=(WIDTH, 2.4 * max(len(tasks), 1) + 0.7), layout="constrained")
    grid = figure.subplots(max(len(tasks), 1), 2, squeeze=False)
    rows = []
    for (seconds, price), task in zip(grid, tasks, strict=False):
        seconds.set_title(task, loc="left", fontweight="bold")
        worth = seconds.twinx()
        for timing in (x for x in timed if x["task"] == task):
            look = looks(suite.methods)[timing["method"]]
            rows += (points := _curve(timing))
            counting = [p for p in points if p[3]]
            _draw(seconds, [(p[2], *p[4:]) for p in points], look)
            _draw(price, [p[3:] for p in counting], look)
            if timing["joint"] == "chain":
                _draw(worth, [(p[2], p[3], p[3], p[3]) for p in counting], look, linestyle=":", markerfacecolor="none")
        worth.axline((1, 1), (10, 10), color=INK, linewidth=0.7, linestyle=":")
        worth.set_ylim(0.8, 1.25 * max(row[2] for row in rows if row[0] == task))  # the diagonal ends in the corner
        worth.grid(visible=False)
        worth.set_ylabel("effective number, of chains (dotted)")
        worth.spines["right"].set_visible(True)
    for seconds, price in grid:
        seconds.set_ylabel("seconds of the call")
        price.set_ylabel("seconds of the call")
    for axes, word in zip(grid[-1], ("samples of one measurement", "effectively independent samples"), strict=True):
        axes.set_xlabel(word)
    shown = {timing["method"] for timing in timed}
    kept = [h for h, m in zip(handles(suite.methods, line=True), suite.methods, strict=True) if m in shown]
    legend(figure, kept) if kept else None
    columns = ("task", "method", "samples", "effective_samples", "seconds", "low", "high")
    return Drawing("clock", figure, csv_text(columns, rows))


def _curve(timing: Json) -> list[tuple]:
    """(task, method, s, effective, seconds, low, high); independent samples count one each."""
    effective = {int(s): size for s, size in timing["ess"].items()}
    names, is_chain = (timing["task"], timing["method"]), timing["joint"] == "chain"
    return [
        (*names, c["s"], effective.get(c["s"]) if is_chain else c["s"], c["median"], c["low"], c["high"])
        for c in timing["curve"]
    ]


def _draw(axes: Axes, points: Sequence[tuple[float, float, float, float]], look: Look, **line: str) -> None:
    axes.set(xscale="log", yscale="log")
    axes.grid(color=HAIRLINE, linewidth=0.4)
    axes.tick_params(colors=MUTED)
    if points:
        x, y, low, high = zip(*points, strict=True)
        axes.fill_between(x, low, high, color=look.colour, alpha=0.2, linewidth=0)
        axes.plot(x, y, color=look.colour, marker=look.marker, linewidth=1, markersize=3.5, **line)
