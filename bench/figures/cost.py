"""Distance to the reference posterior against rows through the prior's network, a panel per task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.results import DISTANCE, Drawing, Results
from bench.figures._quality import draw_quality

__all__ = ["Cost"]


@dataclass(frozen=True)
class Cost:
    """Distance against network rows per sample."""

    metric: str = DISTANCE  # id of the distance; lower is better

    caption: ClassVar[str] = (
        "Unbiased energy distance to the reference posterior against images through the prior's network per sample "
        "(rows, forward and backward); the csv file also has seconds. Dashed line: the floor, which exact draws reach. "
        "Down and to the left is better. Hollow markers: the method saw another prior than that of the reference "
        "posterior. Training is not included; see the figure amortisation."
    )

    def draw(self, results: Results) -> Drawing:
        words = "rows through the prior's network per sample, forward and backward (at least 1)"
        return draw_quality(results, self.metric, "rows", 1, words)
