"""Distance to the reference posterior against seconds per sample, a panel per task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.core.results import DISTANCE, Drawing, Results
from bench.figures._quality import draw_quality

__all__ = ["CostSeconds"]


@dataclass(frozen=True)
class CostSeconds:
    """Distance against seconds per sample."""

    metric: str = DISTANCE  # id of the distance; lower is better

    caption: ClassVar[str] = (
        "Unbiased energy distance to the reference posterior against seconds per sample: those of the clock where it "
        "has timed the run alone on the machine, and else of the jobs, which ran beside other jobs: a rough figure. "
        "Dashed: the floor. Hollow: saw another prior than the one whose posterior this is. Training is not in it: see "
        "amortisation."
    )

    def draw(self, results: Results) -> Drawing:
        exception = ", but where a clock took them" if results.timings else ""
        return draw_quality(
            results,
            self.metric,
            "seconds",
            0,
            f"seconds per sample, of the jobs: a rough figure{exception}",
        )
