"""PSNR of the mean of samples against the number of samples that are averaged, a panel per task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from matplotlib.axes import Axes

from bench.core.results import Drawing, Results
from bench.core.text import csv_text
from bench.figures._lines import has_mean, mean_of
from bench.figures._style import handles, legend, looks, name_axes, small_panels

__all__ = ["AveragedSamples"]

METRIC = "psnr_mean_of_"  # the prefix of the columns of bench/metrics/averaged.py
COLUMNS = ("task", "method", "averaged", "psnr", "low", "high", "seconds_per_sample")
Points = Mapping[str, list[tuple]]  # method -> (averaged, mean, low, high, seconds of a sample)


@dataclass(frozen=True)
class AveragedSamples:
    """A curve for each method."""

    panel_height: float = 1.9  # inches

    caption: ClassVar[str] = (
        "PSNR of the mean of the first samples against how many are averaged; bands are intervals over measurements. "
        "Averaging raises the PSNR of every sampler towards that of the posterior mean, so compare methods only at "
        "equal numbers of averaged samples. The csv file has the seconds per sample; a mean costs that times the "
        "number of samples."
    )

    def draw(self, results: Results) -> Drawing:
        points = {task: _points(results, task) for task in results.tasks}
        shown = {task: found for task, found in points.items() if found} or {"no number": {}}
        figure, panels = small_panels(dict.fromkeys(shown, ""), self.panel_height)
        for panel, found in zip(panels, shown.values(), strict=True):
            _draw_panel(panel, found, results)
        counts = sorted({row[0] for found in shown.values() for of in found.values() for row in of})
        panels[0].set_xscale("log", base=2)
        panels[0].set_xticks(counts, [str(count) for count in counts])
        name_axes(figure, "samples that are averaged", "PSNR of their mean, dB")
        drawn = {method for found in shown.values() for method in found}
        legend(figure, handles(results, drawn or None, line=True))
        rows = [
            (task, method, *row)
            for task, found in points.items()
            for method, of_method in found.items()
            for row in of_method
        ]
        return Drawing(figure, csv_text(COLUMNS, rows))


def _points(results: Results, task: str) -> Points:
    """Return the points of the methods that have any."""
    named = {name for name in results.metrics if name.startswith(METRIC)}
    counts = sorted(int(name.removeprefix(METRIC)) for name in named)
    points: dict[str, list[tuple]] = {}
    for method in results.methods:
        spent = results.line(task, method, "seconds_per_sample")
        seconds = spent.mean if spent else None
        for count in counts:
            line = results.line(task, method, f"{METRIC}{count}")
            if has_mean(line):
                point = (count, mean_of(line), line.low, line.high, seconds)
                points.setdefault(method, []).append(point)
    return points


def _draw_panel(panel: Axes, found: Points, results: Results) -> None:
    styles = looks(results.methods, results.kinds)
    for method, rows in found.items():
        count, mean, low, high, _ = zip(*rows, strict=True)
        ends = [
            [m if end is None else end for m, end in zip(mean, side, strict=True)]
            for side in (low, high)
        ]
        look = styles[method]
        panel.fill_between(count, *ends, color=look.colour, alpha=0.2, linewidth=0)
        panel.plot(count, mean, color=look.colour, marker=look.marker, markersize=3, linewidth=1)
