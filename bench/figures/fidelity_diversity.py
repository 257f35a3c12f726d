"""Fidelity against diversity: error of the posterior mean against the ratio of diversities, a panel per task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

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
    remarks,
)
from bench.figures._style import (
    MUTED,
    STAR,
    handles,
    legend,
    looks,
    marked,
    name_axes,
    scale,
    small_panels,
    star_handle,
)

__all__ = ["FidelityDiversity"]


@dataclass(frozen=True)
class FidelityDiversity:
    """Two metrics against each other, the reference posterior as a star."""

    diversity: str = "diversity_ratio"  # id of the metric across; 1 is the reference posterior's
    error: str = "mean_error"  # id of the metric upwards; lower is better

    caption: ClassVar[str] = (
        "Error of the samples' mean against their diversity, as a ratio to that of the reference posterior. The star "
        "is the reference posterior: left of it samples are too much alike, right of it they spread too far, above it "
        "their mean is off. Hollow markers: the method saw another prior than that of the reference posterior."
    )

    def draw(self, results: Results) -> Drawing:
        metrics = (self.diversity, self.error)
        figure, panels = small_panels(remarks(results, metrics), height=1.65)
        for panel, task in zip(panels, results.tasks, strict=True):
            panel.axvline(1, color=MUTED, linewidth=0.6, linestyle=":", zorder=1)
            styles = {
                method: POINT | marked(results, task, method, look)
                for method, look in looks(results.methods, results.kinds).items()
            }
            for method, style in (styles | {REFERENCE: STAR}).items():
                x, y = (results.line(task, method, metric) for metric in metrics)
                if has_mean(x) and has_mean(y):
                    panel.errorbar(
                        mean_of(x), mean_of(y), xerr=bar_ends(x), yerr=bar_ends(y), **style, **BAR
                    )
        scale(panels[0], "x", means(results, self.diversity))
        scale(panels[0], "y", means(results, self.error))
        name_axes(
            figure, "diversity over that of the reference posterior", "error of the posterior mean"
        )
        drawn = points_of(results, metrics)
        legend(figure, [star_handle(), *handles(results, judged=drawn)])
        return Drawing(figure, lines_csv(results, metrics))
