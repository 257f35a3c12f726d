"""Energy distance to the posterior."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._distances import energy_of

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
        return {"energy": energy_of(samples, truth)}
