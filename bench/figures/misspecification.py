"""Misspecification: coverage of x_true where it is a real image and no draw of the prior, a panel per task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.results import Drawing, Results
from bench.figures._levels import CONFIDENCE, draw_levels, misspecified

__all__ = ["Misspecification"]


@dataclass(frozen=True)
class Misspecification:
    """Coverage of x_true on tasks with real images, which an exact sampler need not have."""

    # the part of the metrics' ids before @<level>: also tarp_x_true and sbc-misfit_x_true
    metric: str = "coverage_x_true"
    confidence: float = CONFIDENCE  # of the band

    caption: ClassVar[str] = (
        "Not a test of samplers: share of the pixels of x_true inside the central interval of a method's samples, on "
        "the tasks whose x_true are real images. These are no draws of the prior, so the exact posterior itself "
        "(dashed) may leave the grey band, where it would be at 99 % of sets of measurements if they were: how far "
        "it does is the misspecification of the prior. A method is to be compared with the dashed line, not with the "
        "diagonal."
    )

    def draw(self, results: Results) -> Drawing:
        words = ("nominal level", "share for x_true")
        return draw_levels(results, misspecified(results), self.metric, words, self.confidence)
