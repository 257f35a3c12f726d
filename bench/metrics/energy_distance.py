"""Energy distance to the posterior."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.numerics.distances import energy_distance, mean_distance_within

__all__ = ["EnergyDistance"]


@dataclass(frozen=True)
class EnergyDistance(Metric):
    """Unbiased energy distance."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        definition = (
            "unbiased energy distance 2 E|X-Y| - E|X-X'| - E|Y-Y'| of samples X and exact draws Y, Euclidean norm; 0 "
            "for a perfect sampler, so single values may be negative"
        )
        return (Column("energy", definition, "lower", "data units", "reference"),)

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        within = truth.of_draws(mean_distance_within)
        return {"energy": energy_distance(samples.flatten(2), truth.draws, within)}
