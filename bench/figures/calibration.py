"""Calibration: empirical against nominal coverage of central intervals, a panel per task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.results import Drawing, Results
from bench.figures._levels import draw_levels

__all__ = ["Calibration"]


@dataclass(frozen=True)
class Calibration:
    """Coverage of a method's central intervals against their nominal level."""

    metric: str = "coverage_exact"  # the part of the metrics' ids before @<level>

    caption: ClassVar[str] = (
        "Share of reference draws of the posterior inside the central interval of a method's samples, against its "
        "nominal level. Below the diagonal a method's intervals are too narrow, above it too wide."
    )

    def draw(self, results: Results) -> Drawing:
        words = ("nominal level of the central interval", "share of reference draws inside")
        return draw_levels(results, self.metric, words)
