"""Accuracy of a classifier that tells samples from draws of the posterior."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.numerics.distances import two_sample_accuracy

__all__ = ["TwoSample"]

FEWEST = (
    3  # samples: with one of each set left out, a set has two points, and a distance between them
)
FEW_SAMPLES = f"n/a (fewer than {FEWEST} samples)"


@dataclass(frozen=True)
class TwoSample(Metric):
    """Two-sample test by the nearer centroid in the kernel space of the energy distance."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        definition = (
            "two-sample accuracy, samples against as many exact draws: leave-one-out classifier by the nearer centroid "
            "in the kernel space of the energy distance; 0.5 for equal distributions, 1 for separate ones"
        )
        return (Column("c2st-energy", definition, 0.5, "1", "reference", not_finite=FEW_SAMPLES),)

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        x, draws = samples.flatten(2), truth.draws[:, : samples.shape[1]]
        if x.shape[1] < FEWEST:
            return {"c2st-energy": x.new_full((len(x),), math.nan)}
        return {"c2st-energy": two_sample_accuracy(x, draws)}
