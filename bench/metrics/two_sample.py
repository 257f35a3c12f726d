"""Accuracy of a classifier that tells samples from draws of the posterior."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._distances import to_draws, within_samples
from bench.numerics.distances import distances, two_sample_votes

__all__ = ["TwoSample"]

FEWEST = 3  # samples: a set with one left out needs two points, so that it has a distance
FEW_SAMPLES = f"n/a (fewer than {FEWEST} samples)"


@dataclass(frozen=True)
class TwoSample(Metric):
    """Two-sample test by the nearest centroid in the kernel space of the energy distance."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        definition = (
            "two-sample accuracy, samples against as many exact draws: leave-one-out classifier by the nearer centroid "
            "in the kernel space of the energy distance; 0.5 for equal distributions, 1 for separate ones"
        )
        return (Column("c2st-energy", definition, 0.5, "1", "reference", not_finite=FEW_SAMPLES),)

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        s, dimension = samples.shape[1], truth.draws.shape[2]
        if s < FEWEST:
            return {"c2st-energy": samples.new_full((len(samples),), math.nan)}
        between = to_draws(samples, truth)[:, :, :s]
        within = truth.of_draws(_within_first, s)
        votes = two_sample_votes(within_samples(samples, truth), between, within, dimension)
        return {"c2st-energy": (1 + votes).mean((1, 2)) / 2}


def _within_first(draws: Tensor, num: int) -> Tensor:
    return distances(draws[:, :num], draws[:, :num])
