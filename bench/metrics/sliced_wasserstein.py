"""Sliced Wasserstein-2 distance to the posterior: with its floor, and squared without bias."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._spread import resolution_of
from bench.numerics.debiased import FLOOR, Yardstick, debiased_square, yardsticks
from bench.numerics.distances import mean_distance_within, projected, sliced_wasserstein2

__all__ = ["SlicedWasserstein"]

FEW_DRAWS = "n/a (fewer than two reference draws for each sample)"
DEBIASED = {"sw2sq-128": False, "sw2sq-128_white": True}  # id -> in whitened coordinates


@dataclass(frozen=True)
class SlicedWasserstein(Metric):
    """Mean over fixed directions of the squared Wasserstein-2 distance of the projections: its root, or debiased."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        rooted = (
            "sliced Wasserstein-2 distance of samples and exact draws: root of the mean of W2^2 over 128 fixed "
            "directions; biased by the finite number of samples, so compare it with its floor in the row of the "
            "reference"
        )
        square = (
            "debiased squared sliced Wasserstein-2 distance, 128 fixed directions: that of the samples to the exact "
            "draws without a block of as many of them, minus that of the block, mean over at most four blocks; 0 in "
            "expectation for a perfect sampler, so single values may be negative"
        )
        white = (
            "debiased squared sliced Wasserstein-2 distance (sw2sq-128) in coordinates whitened by the covariance of "
            f"the exact draws, whose eigenvalues below {FLOOR:g} of the largest are raised to it: narrow, "
            "well-measured directions count like wide ones; 0 in expectation for a perfect sampler"
        )
        return (
            Column("sw2-128", rooted, "lower", "data units", "reference"),
            Column("sw2sq-128", square, "lower", "data units^2", "reference"),
            Column("sw2sq-128_white", white, "lower", "1", "reference"),
        )

    def why_empty(self, truth: Truth) -> dict[str, str]:
        is_short = truth.draws.shape[1] < 2 * truth.context.num_samples
        return dict.fromkeys(DEBIASED, FEW_DRAWS) if is_short else {}

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        x, rooted = samples.flatten(2), truth.of_draws(projected)
        values = {"sw2-128": sliced_wasserstein2(projected(x), rooted)}
        if truth.draws.shape[1] < 2 * x.shape[1]:
            return values
        for id, is_white in DEBIASED.items():
            made: tuple[Yardstick, ...] = truth.once(
                (id, x.shape[1]),
                lambda is_white=is_white: yardsticks(truth.draws, x.shape[1], is_white),
            )
            values[id] = debiased_square(x, made)
        # one point has no coordinates to whiten
        is_point = truth.of_draws(mean_distance_within) <= resolution_of(x.shape[2])
        values["sw2sq-128_white"] = values["sw2sq-128_white"].masked_fill(is_point, float("nan"))
        return values
