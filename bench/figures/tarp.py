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
        "TARP expected coverage, on the tasks whose x_true are draws of the prior (truth: prior): share of "
        "measurements where at most so many of the samples are nearer to a reference point than x_true. Grey band: "
        "where a calibrated sampler is at 99 % of such sets of measurements, level by level. Above it samples spread "
        "too far, below it too little. Tasks with real images: figure misspecification."
    )

    def draw(self, results: Results) -> Drawing:
        words = ("rank of x_true by distance to a point", "share of measurements below")
        tasks = results.well_specified
        return draw_levels(results, tasks, self.metric, words, self.confidence)
