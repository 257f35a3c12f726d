"""Ranks of draws of the posterior among the samples: simulation-based calibration and TARP without x_true.

Talts et al. 2018, https://arxiv.org/abs/1804.06788; Lemos et al. 2023, https://arxiv.org/abs/2302.03026.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._ranks import mean_rank, misfits, rank_interval, spread_of_ranks, to_points
from bench.numerics.distances import directions, projected

__all__ = ["Ranks"]

NUM_RANKED = 32  # directions along which samples are ranked


@dataclass(frozen=True)
class Ranks(Metric):
    """Ranks along fixed directions, of the log likelihood, and of distances to fixed points."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return (
            Column(
                "sbc_spread_exact",
                "12 E(u - 1/2)^2 for the randomised ranks u of exact draws among the samples, projected on the first "
                f"{NUM_RANKED} directions of sw2-128; below 1 the samples spread too far, above 1 too little, or their "
                "mean is off",
                1.0,
                "1",
                "reference",
            ),
            Column(
                "sbc-misfit_exact",
                "probability that a sample fits the measurement worse (has a lower log likelihood) than an exact draw; "
                "above 0.5 samples spread too far off the data, below it they fit them too well",
                0.5,
                "1",
                "reference",
            ),
            Column(
                "tarp_exact",
                "probability that a sample is farther from a reference point than an exact draw, mean over 16 fixed "
                "points, uniform on [-1, 1]; above 0.5 samples spread too far or are off, away from the points, below "
                "it the contrary",
                0.5,
                "1",
                "reference",
            ),
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        x = samples.flatten(2)
        along = x @ directions(x.shape[2])[:, :NUM_RANKED].to(x)
        ranks = rank_interval(along, truth.of_draws(projected)[:, :NUM_RANKED].mT)
        of_draws = truth.once("misfits", lambda: misfits(truth.reference, truth))
        misfit = rank_interval(misfits(samples, truth), of_draws)
        tarp = rank_interval(to_points(x), truth.of_draws(to_points))
        return {
            "sbc_spread_exact": spread_of_ranks(*ranks),
            "sbc-misfit_exact": 1 - mean_rank(*misfit),
            "tarp_exact": 1 - mean_rank(*tarp),
        }
