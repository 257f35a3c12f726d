"""Calibration: coverage of x_true where it is a draw of the prior, a panel per task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.results import Drawing, Results
from bench.figures._levels import CONFIDENCE, draw_levels

__all__ = ["Calibration"]


@dataclass(frozen=True)
class Calibration:
    """Coverage of x_true by a method's central intervals, and the band of a calibrated sampler."""

    metric: str = "coverage_x_true"  # the part of the metrics' ids before @<level>
    confidence: float = CONFIDENCE  # of the band

    caption: ClassVar[str] = (
        "Share of the pixels of the true image that lie inside the central interval of a method's samples, against the "
        "interval's nominal level. Only tasks whose true images are draws of the prior (truth: prior) are shown. "
        "A calibrated sampler follows the diagonal and, level by level, is inside the grey band in at least 99 % of "
        "such sets of measurements; the band is that of a single pixel per image, and shares over many pixels scatter "
        "less. For tasks with real images see the figure misspecification."
    )

    def draw(self, results: Results) -> Drawing:
        words = ("nominal level of the central interval", "share of pixels of x_true inside")
        tasks = results.well_specified
        return draw_levels(results, tasks, self.metric, words, self.confidence)
