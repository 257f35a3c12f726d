"""Seconds with training against the number of measurements, with break-even points, a panel per task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.core.results import BASELINES, Drawing, Results
from bench.core.text import csv_text
from bench.figures._style import INK, handles, legend, looks, name_axes, small_panels

__all__ = ["Amortisation"]

_FAR = 1e5  # measurements: the largest number on the axis
_RING: dict[str, Any] = {"marker": "o", "markersize": 3.6, "markerfacecolor": "white", "color": INK}
_RING |= {"markeredgewidth": 0.7, "linestyle": "none", "zorder": 5}
# (amortised method, other method) -> number of measurements
BreakEvens = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class TotalCost:
    """Seconds that a method takes on one task."""

    training: float
    per_measurement: float

    def total(self, num_measurements: float) -> float:
        return self.training + num_measurements * self.per_measurement

    @property
    def is_amortised(self) -> bool:
        """Return whether training takes longer than one measurement; a shorter one pays from the first on."""
        return self.training > self.per_measurement


def break_even(amortised: TotalCost, iterative: TotalCost) -> float:
    """Return the number of measurements from which the amortised method has spent less; infinite if there is none."""
    saved = iterative.per_measurement - amortised.per_measurement
    return (amortised.training - iterative.training) / saved if saved > 0 else math.inf


@dataclass(frozen=True)
class Amortisation:
    """Seconds of training and sampling together, on each task where an amortised method ran."""

    panel_height: float = 1.75  # inches

    caption: ClassVar[str] = (
        "Seconds of training and sampling together against the number of measurements, with the suite's number of "
        "samples for each. Circles mark break-even points between a method that is trained once and one that is not "
        "trained; the line above a panel gives the first and the last of them for each trained method, and the csv "
        "file lists all pairs. Seconds are those of the jobs, which ran on one thread beside other jobs, so they are "
        "rough. Oracle and unconditional are left out."
    )

    def draw(self, results: Results) -> Drawing:
        costs = {task: _total_costs(results, task) for task in results.tasks}
        trained = {
            task: of_task
            for task, of_task in costs.items()
            if any(c.is_amortised for c in of_task.values())
        }
        shown = trained or costs
        points = {task: _break_evens(of_task) for task, of_task in shown.items()}
        figure, panels = small_panels(
            {task: _remark(points[task]) for task in shown}, height=self.panel_height
        )
        finite = [n for of_task in points.values() for n in of_task.values() if math.isfinite(n)]
        behind_last = 10.0 ** math.ceil(math.log10(2 * max(1.0, *finite))) if finite else 1.0
        far = min(max(behind_last, 1e3), _FAR)
        for panel, (task, of_task) in zip(panels, shown.items(), strict=True):
            _draw_panel(panel, of_task, points[task], far, results)
        name_axes(figure, "number of measurements", "seconds, training and sampling")
        ring = Line2D([], [], label="break-even", **_RING)
        ran = [method for of_task in shown.values() for method in of_task]
        legend(figure, [ring, *handles(results, ran, line=True)])
        return Drawing(figure, _csv(costs))


def _total_costs(results: Results, task: str) -> dict[str, TotalCost]:
    """Return the costs of the methods that ran, without the baselines."""
    costs = {}
    for method in results.methods:
        training, seconds = (
            results.line(task, method, name) for name in ("train_seconds", "seconds_per_sample")
        )
        if (
            method not in BASELINES
            and training
            and seconds
            and seconds.mean is not None
            and training.mean is not None
        ):
            costs[method] = TotalCost(training.mean, results.num_samples * seconds.mean)
    return costs


def _break_evens(costs: Mapping[str, TotalCost]) -> dict[tuple[str, str], float]:
    """Return the break-even point of each amortised method against each other one."""
    return {
        (one, other): break_even(costs[one], costs[other])
        for one in costs
        for other in costs
        if costs[one].is_amortised and not costs[other].is_amortised
    }


def _draw_panel(
    panel: Axes, costs: Mapping[str, TotalCost], points: BreakEvens, far: float, results: Results
) -> None:
    num_measurements = np.geomspace(1, far, 60)
    for method, look in looks(results.methods, results.kinds).items():
        if method in costs:
            style = {
                "color": look.colour,
                "linewidth": 1,
                "marker": look.marker,
                "markersize": 3,
                "markevery": 59,
            }
            panel.plot(
                num_measurements, [costs[method].total(n) for n in num_measurements], **style
            )
    for (_, other), num in points.items():
        if 1 <= num <= far:
            panel.plot(num, costs[other].total(num), **_RING)
    panel.set(xscale="log", yscale="log", xlim=(1, far))
    panel.minorticks_off()


def _remark(points: BreakEvens) -> str:
    """Return the first and the last break-even point of each amortised method, as words."""
    words = []
    for one in dict.fromkeys(method for method, _ in points):
        ends = sorted(n for (method, _), n in points.items() if method == one)
        first, last = (
            "never" if math.isinf(n) else f"{math.ceil(max(n, 1))}" for n in (ends[0], ends[-1])
        )
        words.append(f"{one} {first}" if first == last else f"{one} {first} to {last}")
    return f"break-even: {', '.join(words)}" if words else ""


def _csv(costs: Mapping[str, Mapping[str, TotalCost]]) -> str:
    rows = []
    for task, of_task in costs.items():
        rows += [
            (task, method, cost.training, cost.per_measurement, "", "")
            for method, cost in of_task.items()
        ]
        for (one, other), n in _break_evens(of_task).items():
            cost = of_task[one]
            rows.append(
                (
                    task,
                    one,
                    cost.training,
                    cost.per_measurement,
                    other,
                    "never" if math.isinf(n) else n,
                )
            )
    return csv_text(
        ("task", "method", "train_seconds", "seconds_per_measurement", "against", "break_even"),
        rows,
    )
