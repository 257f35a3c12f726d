"""Diversity score: distances to samples outside a sample's cluster over those inside."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._distances import within_samples
from bench.metrics._spread import mean_over_blocks, resolution_of
from bench.numerics.distances import distances

__all__ = ["DiversityScore"]

NEIGHBOURS = 6  # in the cluster of a sample
FEWEST_SAMPLES = NEIGHBOURS + 2
ID = f"ds{NEIGHBOURS}-pixels"
SAME_IMAGE = "n/a (nearest neighbours are the same image)"


@dataclass(frozen=True)
class DiversityScore(Metric):
    """Diversity score by itself and over that of as many draws of the posterior."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        definition = (
            "diversity score: mean Euclidean distance of a sample to those outside its cluster over that to the "
            f"{NEIGHBOURS} nearest, which are its cluster. It has no scale: a cloud that shrinks as a whole keeps its "
            "value, one that falls into clumps gains; it depends on the number of samples"
        )
        over = f"{ID} over the mean of that of as many exact draws"
        return (
            Column(ID, definition, None, not_finite=SAME_IMAGE),
            Column(f"{ID}_ratio", over, 1.0, "1", "reference", not_finite=SAME_IMAGE),
        )

    def why_empty(self, truth: Truth) -> dict[str, str]:
        few = f"n/a (fewer than {FEWEST_SAMPLES} samples)"
        return (
            dict.fromkeys((ID, f"{ID}_ratio"), few)
            if truth.context.num_samples < FEWEST_SAMPLES
            else {}
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        resolution = resolution_of(truth.draws.shape[2])
        score = cluster_ratio(within_samples(samples, truth), resolution)
        return {
            ID: score,
            f"{ID}_ratio": score / mean_over_blocks(diversity_score, truth, samples.shape[1]),
        }


def diversity_score(x: Tensor) -> Tensor:
    """Return the diversity score of FEWEST_SAMPLES samples or more, (m, s, D) -> (m,)."""
    return cluster_ratio(distances(x, x), resolution_of(x.shape[2]))


def cluster_ratio(within: Tensor, resolution: float) -> Tensor:
    """Return the mean distance to samples outside the cluster over that to the nearest NEIGHBOURS, (m, s, s) -> (m,).

    The result is NaN where neighbours coincide within `resolution`.
    """
    ordered = within.sort(-1).values[..., 1:]  # the first is the distance of a sample to itself
    intra, inter = ordered[..., :NEIGHBOURS].mean((1, 2)), ordered[..., NEIGHBOURS:].mean((1, 2))
    return inter / intra.where(intra > resolution, math.nan)
