"""Sliced Wasserstein-2 distance to the posterior."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.numerics.distances import projected, sliced_wasserstein2

__all__ = ["SlicedWasserstein"]


@dataclass(frozen=True)
class SlicedWasserstein(Metric):
    """Mean over fixed directions of the squared Wasserstein-2 distance of the projections, its root."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        definition = (
            "sliced Wasserstein-2 distance of samples and exact draws: root of the mean of W2^2 over 128 fixed "
            "directions"
        )
        return (Column("sw2-128", definition, "lower", "data units", "reference"),)

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        return {
            "sw2-128": sliced_wasserstein2(projected(samples.flatten(2)), truth.of_draws(projected))
        }
