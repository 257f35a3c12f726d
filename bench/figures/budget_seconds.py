"""Worth and distance against seconds per sample, training included, for each kind of methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.results import Drawing, Results
from bench.figures._budget import draw_budget

__all__ = ["BudgetSeconds"]


@dataclass(frozen=True)
class BudgetSeconds:
    """The curves of `budget` against seconds: networks that are not the prior's cost time, too."""

    metrics: tuple[str, ...] = ("worth_energy", "energy")  # two rows of panels for each
    num_measurements: tuple[int, ...] = (1, 10, 100)  # that share the training, a panel each

    caption: ClassVar[str] = (
        "As the figure budget, with seconds in place of network rows: worth of the samples in exact draws, and their "
        "distance to the reference posterior, against seconds per sample, with training shared by one, ten and a "
        "hundred measurements. Seconds are those of the jobs, which ran on one thread beside other jobs, so they are "
        "rough."
    )

    def draw(self, results: Results) -> Drawing:
        words = "seconds per sample of the jobs, a rough figure, training included"
        return draw_budget(results, self.metrics, self.num_measurements, "seconds", words)
