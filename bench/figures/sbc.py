"""Simulation-based calibration: ranks of x_true where it is a draw of the prior (Talts et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.results import Drawing, Results
from bench.figures._levels import CONFIDENCE, draw_levels

__all__ = ["Sbc"]


@dataclass(frozen=True)
class Sbc:
    """Distribution of the rank of x_true, and the band of a calibrated sampler."""

    metric: str = "sbc-misfit_x_true"  # the part of the metrics' ids before @<level>
    confidence: float = CONFIDENCE  # of the band

    caption: ClassVar[str] = (
        "Simulation-based calibration, on the tasks whose x_true are draws of the prior (truth: prior): distribution "
        "of the rank of x_true among the samples by data misfit. Grey band: where a calibrated sampler is at 99 % of "
        "such sets of measurements, level by level. Above the band the samples misfit the measurement more than "
        "x_true does, below it less. Tasks with real images: figure misspecification."
    )

    def draw(self, results: Results) -> Drawing:
        words = ("rank of x_true by data misfit", "share of measurements below")
        tasks = results.well_specified
        return draw_levels(results, tasks, self.metric, words, self.confidence)
