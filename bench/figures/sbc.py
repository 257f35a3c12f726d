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
        "Simulation-based calibration: distribution function of the rank of the true image among the samples, ordered "
        "by data misfit. Only tasks whose true images are draws of the prior (truth: prior) are shown. A calibrated "
        "sampler follows the diagonal and, level by level, is inside the grey band in 99 % of such sets of "
        "measurements. Above the band the samples fit the measurement less well than the true image does, below it "
        "better. For tasks with real images see the figure misspecification."
    )

    def draw(self, results: Results) -> Drawing:
        words = ("rank of x_true by data misfit", "share of measurements below")
        tasks = results.well_specified
        return draw_levels(results, tasks, self.metric, words, self.confidence)
