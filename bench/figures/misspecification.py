"""Misspecification of the prior: coverage of x_true on tasks with real images, a panel per task."""

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
        "This figure tests the prior, not the samplers. It shows the share of the pixels of the true image that lie "
        "inside the central interval of a method's samples, on tasks with real images. These are not draws of the "
        "prior, so even the exact posterior (dashed) may leave the grey band, in which it would be for 99 % of sets "
        "of measurements if they were; how far it leaves the band shows how wrong the prior is. Compare a method "
        "with the dashed line, not with the diagonal."
    )

    def draw(self, results: Results) -> Drawing:
        words = ("nominal level", "share for x_true")
        return draw_levels(results, misspecified(results), self.metric, words, self.confidence)
