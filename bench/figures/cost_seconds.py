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
        "Unbiased energy distance to the reference posterior against seconds per sample. The seconds are those of the "
        "clock, which times runs alone on the machine, or else those of the jobs, which are rough because jobs ran "
        "beside each other. Dashed line: the floor, which exact draws reach. Hollow markers: the method saw another "
        "prior than that of the reference posterior. Training is not included; see the figure amortisation."
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
