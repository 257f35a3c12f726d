"""Worth and distance against network rows per sample, training included, for each kind of methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.results import Drawing, Results
from bench.figures._budget import draw_budget

__all__ = ["Budget"]


@dataclass(frozen=True)
class Budget:
    """Curves over budgets: rows `dps-b100`, `dps-b180`, ... of a suite are the points of one curve."""

    metrics: tuple[str, ...] = ("worth_energy", "energy")  # two rows of panels for each
    num_measurements: tuple[int, ...] = (1, 10, 100)  # that share the training, a panel each

    caption: ClassVar[str] = (
        "Worth of the samples in exact draws, and their distance to the reference posterior, against images through "
        "the prior's network per sample (rows, forward and backward), with a panel for each kind of method; the "
        "untrained methods of the other panels are grey. Methods that are trained once (dashed) have a panel for each "
        "number of measurements that share the training (1, 10 and 100 y). Values are means over the tasks where most "
        "rows have numbers (harmonic means for worth). Dotted line: worth of exact draws. Circles: points past their "
        "break-even with every untrained method, that is, no untrained method reaches the same quality for fewer "
        "rows. The csv file lists the break-even points of all pairs, with `at most` or `at least` where the other "
        "method's curve ends."
    )

    def draw(self, results: Results) -> Drawing:
        words = (
            "rows through the prior's network per sample, forward and backward, training included"
        )
        return draw_budget(results, self.metrics, self.num_measurements, "rows", words)
