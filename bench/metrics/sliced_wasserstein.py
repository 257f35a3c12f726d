"""Sliced Wasserstein-2 distance to the posterior: with its floor, and squared without bias."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._spread import is_one_image
from bench.numerics.debiased import FLOOR, Yardstick, debiased_square, yardsticks
from bench.numerics.distances import projected, sliced_wasserstein2

__all__ = ["SlicedWasserstein"]

FEW_DRAWS = "n/a (fewer than two reference draws for each sample)"
SINGULAR = "n/a (no more exact draws than values of an image: their covariance is singular)"
WHITE = "sw2sq-128_white"
DEBIASED = {"sw2sq-128": False, WHITE: True}  # id -> in whitened coordinates


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
            Column(WHITE, white, "lower", "1", "reference"),
        )

    def why_empty(self, truth: Truth) -> dict[str, str]:
        return why_not_debiased(truth.draws, truth.context.num_samples)

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        x = samples.flatten(2)
        along = projected(x)
        values = {"sw2-128": sliced_wasserstein2(along, truth.of_draws(projected))}
        empty = why_not_debiased(truth.draws, x.shape[1])
        for id in (id for id in DEBIASED if id not in empty):
            made: tuple[Yardstick, ...] = truth.once(
                (id, x.shape[1]),
                lambda is_white=DEBIASED[id]: yardsticks(truth.draws, x.shape[1], is_white),
            )
            values[id] = debiased_square(x, made, None if DEBIASED[id] else along)
        if WHITE in values:  # one point has no coordinates to whiten
            values[WHITE] = values[WHITE].masked_fill(is_one_image(truth), float("nan"))
        return values


def why_not_debiased(draws: Tensor, num_samples: int) -> dict[str, str]:
    """Return reasons by column id where reference draws (m, e, D) are too few for blocks, or for their covariance."""
    _, num_draws, dimension = draws.shape
    if num_draws < 2 * num_samples:
        return dict.fromkeys(DEBIASED, FEW_DRAWS)
    return {} if num_draws - num_samples > dimension else {WHITE: SINGULAR}
