"""Reward against diversity and against the distance to real images of the class, two panels per task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.core.results import REFERENCE, Drawing, Results
from bench.figures._lines import (
    BAR,
    POINT,
    bar_ends,
    has_mean,
    lines_csv,
    mean_of,
    means,
    points_of,
)
from bench.figures._style import (
    HAIRLINE,
    MUTED,
    STAR,
    WIDTH,
    handles,
    legend,
    looks,
    marked,
    plain,
    scale,
    star_handle,
)

__all__ = ["Reward"]

NAMES = {
    "class_pairwise": "diversity: mean distance between two samples",
    "class_frechet": "Frechet distance to held-out images of the class",
    "diversity_ratio": "diversity over that of the reference posterior",
}


@dataclass(frozen=True)
class Reward:
    """Two metrics across, one below the other, and the reward upwards; the reference posterior as a star."""

    reward: str = "log_reward"  # id of the metric upwards
    diversity: str = "diversity_ratio"  # id of the metric across in the upper panels
    # id of the metric across in the lower panels; "": no lower panels
    frechet: str = "class_frechet-digits-convnet-v1-n32"

    caption: ClassVar[str] = (
        "Mean log reward against diversity, and against the Frechet distance to held-out images of the class (left is "
        "better). The star is the reference posterior: methods above it have a higher reward than samples of the "
        "posterior. Dashed lines: values of real images of the class."
    )

    def draw(self, results: Results) -> Drawing:
        across, tasks = [self.diversity, *([self.frechet] if self.frechet else [])], results.tasks
        size = (WIDTH * min(1, 0.08 + 0.23 * max(len(tasks), 2)), 0.6 + 1.7 * len(across))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(across), len(tasks), sharex="row", sharey=True, squeeze=False)
        for metric, panels in zip(across, grid, strict=True):
            for task, panel in zip(tasks, panels, strict=True):
                self._draw_panel(panel, results, task, metric)
            scale(panels[0], "x", means(results, metric))
            panels[len(tasks) // 2].set_xlabel(NAMES.get(metric.partition("-")[0], metric))
            panels[0].set_ylabel("mean log reward, nats")
        for task, panel in zip(tasks, grid[0], strict=True):
            title = 7.5 * min(1, 88 / (max(4, len(tasks)) * len(task)))
            panel.set_title(plain(task), loc="left", fontweight="bold", fontsize=title)
        metrics = (self.reward, *across)
        drawn = [point for metric in across for point in points_of(results, (self.reward, metric))]
        legend(figure, [star_handle(), *handles(results, judged=drawn)])
        return Drawing(figure, lines_csv(results, metrics))

    def _draw_panel(self, panel: Axes, results: Results, task: str, metric: str) -> None:
        panel.grid(color=HAIRLINE, linewidth=0.4)
        panel.set_axisbelow(True)
        statistic, _, network = metric.partition("-")
        floors = (  # the same in every row that has samples
            results.line(task, method, f"{statistic}_floor-{network}")
            for method in (REFERENCE, *results.methods)
        )
        if floor := next(filter(has_mean, floors), None):
            panel.axvline(mean_of(floor), color=MUTED, linewidth=0.7, linestyle="--", zorder=1)
        styles = {
            method: POINT | marked(results, task, method, look)
            for method, look in looks(results.methods, results.kinds).items()
        }
        for method, style in (styles | {REFERENCE: STAR}).items():
            x, y = results.line(task, method, metric), results.line(task, method, self.reward)
            if has_mean(x) and has_mean(y):
                ends = {"xerr": bar_ends(x), "yerr": bar_ends(y)}
                panel.errorbar(mean_of(x), mean_of(y), **ends, **style, **BAR)
