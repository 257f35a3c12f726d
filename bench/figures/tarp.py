"""TARP: expected coverage of x_true where it is a draw of the prior, a panel per task (Lemos et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.results import Drawing, Results
from bench.figures._levels import CONFIDENCE, draw_levels

__all__ = ["Tarp"]


@dataclass(frozen=True)
class Tarp:
    """Expected coverage of x_true, and the band of a calibrated sampler."""

    metric: str = "tarp_x_true"  # the part of the metrics' ids before @<level>
    confidence: float = CONFIDENCE  # of the band

    caption: ClassVar[str] = (
        "Expected coverage by TARP (tests of accuracy with random points): the share of measurements for which at most "
        "the given share of samples is nearer to a random reference point than the true image. Only tasks whose true "
        "images are draws of the prior (truth: prior) are shown. A calibrated sampler follows the diagonal and, level "
        "by level, is inside the grey band in 99 % of such sets of measurements. Above the band samples spread too "
        "far, below it too little. For tasks with real images see the figure misspecification."
    )

    def draw(self, results: Results) -> Drawing:
        words = ("rank of x_true by distance to a point", "share of measurements below")
        tasks = results.well_specified
        return draw_levels(results, tasks, self.metric, words, self.confidence)
