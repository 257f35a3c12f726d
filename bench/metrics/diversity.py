"""Mean distances between the samples of one measurement."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._distances import within_samples
from bench.metrics._spread import over_posterior
from bench.numerics.distances import mean_distance_within, mean_off_diagonal

__all__ = ["Diversity"]


@dataclass(frozen=True)
class Diversity(Metric):
    """Mean distance of two samples, squared or not, by itself and over that of the posterior."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return (
            Column(
                "diversity",
                "mean squared distance per pixel between two samples of one measurement",
                None,
                "data units^2",
            ),
            Column(
                "diversity_ratio",
                "diversity (mean squared distance between two samples) over that of the exact posterior: below 1 "
                "samples are too much alike, above 1 they spread too far",
                1.0,
                "1",
                "reference",
            ),
            Column(
                "pairwise-pixels",
                "mean Euclidean distance between two samples of one measurement",
                None,
                "data units",
            ),
            Column(
                "pairwise-pixels_ratio",
                "pairwise-pixels over that of the exact posterior",
                1.0,
                "1",
                "reference",
            ),
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        x = samples.flatten(2)
        variance = x.var(1).mean(1)
        pairwise = mean_off_diagonal(within_samples(samples, truth))
        of_draws = truth.of_draws(mean_distance_within)
        return {
            "diversity": 2 * variance,
            "diversity_ratio": over_posterior(
                variance, truth.std.flatten(1).square().mean(1), truth
            ),
            "pairwise-pixels": pairwise,
            "pairwise-pixels_ratio": over_posterior(pairwise, of_draws, truth),
        }
