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
        "Worth of the samples in exact draws, and their distance to the reference posterior, against images through "
        "the prior's network per sample (rows, forward and backward). Training is included, shared by one, ten and a "
        "hundred measurements. Values are means over the tasks where all methods ran (harmonic means for worth). "
        "Dotted line: worth of exact draws. Dashed curves: methods that are trained once. Circles: points past their "
        "break-even with every untrained method, that is, no untrained method reaches the same quality for fewer "
        "rows. The line above a row of panels says from how many measurements on each trained method has such a "
        "point; the csv file lists all pairs, with `at most` or `at least` where the other method's curve ends."
    )

    def draw(self, results: Results) -> Drawing:
        words = (
            "rows through the prior's network per sample, forward and backward, training included"
        )
        return draw_budget(results, self.metrics, self.num_measurements, "rows", words)
