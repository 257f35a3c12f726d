"""Worth and distance against network rows per sample, training included, for a growing number of measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.results import Drawing, Results
from bench.figures._budget import draw_budget

__all__ = ["Budget"]


@dataclass(frozen=True)
class Budget:
    """Curves over budgets: rows `dps-b100`, `dps-b180`, ... of a suite are the points of one curve."""

    metrics: tuple[str, ...] = ("worth_energy", "worth_mean", "energy")  # a row of panels each
    num_measurements: tuple[int, ...] = (1, 10, 100)  # that share the training, a column each

    caption: ClassVar[str] = (
        "What a sample is worth, and its distance to the reference posterior, against rows through the prior's network "
        "per sample, forward and backward, with the share of training for one, ten and a hundred measurements. Means "
        "over the tasks where all rows ran; a worth by its reciprocal, the relative error. Dotted: worth of exact "
        "draws. Dashed curves are trained once. Circles: rows past their break-even point with every untrained method, "
        "so that none reaches the same quality for fewer rows; above each row of panels from how many measurements on "
        "the first row of each trained method is; the csv lists all pairs, with at most "
        "or at least where the other method's curve ends."
    )

    def draw(self, results: Results) -> Drawing:
        words = (
            "rows through the prior's network per sample, forward and backward, training included"
        )
        return draw_budget(results, self.metrics, self.num_measurements, "rows", words)
