"""Coverage of reference draws: central intervals of the samples against their level, a panel per task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.results import Drawing, Results
from bench.figures._levels import draw_levels

__all__ = ["Coverage"]


@dataclass(frozen=True)
class Coverage:
    """Coverage of draws of the posterior by a method's central intervals, against their nominal level."""

    metric: str = "coverage_exact"  # the part of the metrics' ids before @<level>

    caption: ClassVar[str] = (
        "Share of reference draws of the posterior that lie inside the central interval of a method's samples, pixel "
        "by pixel, against the interval's nominal level. Below the diagonal a method's intervals are too narrow, above "
        "it too wide. The true image is not used, so this is valid on every task that has reference draws."
    )

    def draw(self, results: Results) -> Drawing:
        words = ("nominal level of the central interval", "share of reference draws inside")
        return draw_levels(results, results.tasks, self.metric, words)
