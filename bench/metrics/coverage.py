"""Coverage of the central intervals of pixels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Need, Truth
from bench.metrics._ranks import LEVELS, coverage, rank_interval

__all__ = ["Coverage"]

LEVELS_X_TRUE = (0.5, 0.9)


@dataclass(frozen=True)
class Coverage(Metric):
    """Share of the pixels of draws of the posterior, and of x_true, in the central intervals of the samples."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return (
            *(_column("exact", "all exact draws", "reference", level) for level in LEVELS),
            *(_column("x_true", "x_true", "operator", level) for level in LEVELS_X_TRUE),
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        x = samples.flatten(2)
        draws = rank_interval(x, truth.draws)
        x_true = rank_interval(x, truth.x_true.flatten(1)[:, None])
        return {
            **{f"coverage_exact@{level}": coverage(*draws, level) for level in LEVELS},
            **{f"coverage_x_true@{level}": coverage(*x_true, level) for level in LEVELS_X_TRUE},
        }


def _column(whose: str, described: str, needs: Need, level: float) -> Column:
    definition = (
        f"share of the pixels of {described} inside the central {level:.0%} interval of the samples' pixel values, "
        "ends and ties counted by their probability under a randomised rank (exact at any number of samples)"
    )
    return Column(f"coverage_{whose}@{level}", definition, level, needs=needs)
