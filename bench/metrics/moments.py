"""Errors of the mean and of the standard deviation of each pixel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._spread import over_posterior

__all__ = ["Moments"]


@dataclass(frozen=True)
class Moments(Metric):
    """Mean and standard deviation of the samples against those of the posterior."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return (
            Column(
                "mean_error",
                "RMS over pixels of mean of the samples - mean of the posterior",
                "lower",
                "data units",
                "reference",
                of_point=True,
            ),
            Column(
                "std_error",
                "RMS over pixels of standard deviation of the samples (unbiased variance) - that of the posterior",
                "lower",
                "data units",
                "reference",
            ),
            Column(
                "std_ratio",
                "root of the mean variance of the samples over the mean variance of the posterior",
                1.0,
                "1",
                "reference",
            ),
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        x, mean, std = samples.flatten(2), truth.mean.flatten(1), truth.std.flatten(1)
        variance, true_variance = x.var(1), std.square().mean(1)
        return {
            "mean_error": (x.mean(1) - mean).square().mean(1).sqrt(),
            "std_error": (variance.sqrt() - std).square().mean(1).sqrt(),
            "std_ratio": over_posterior(variance.mean(1), true_variance, truth).sqrt(),
        }
