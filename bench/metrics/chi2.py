"""Misfit to the measurement in units of its noise."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._residuals import whitened_residuals

__all__ = ["Chi2"]


@dataclass(frozen=True)
class Chi2(Metric):
    """Squared residual over that of the noise."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        definition = (
            "misfit to the measurement: mean over samples of |residual|^2 / (sigma_y^2 times the number of observed "
            "values); 1 for x_true, in expectation"
        )
        return (Column("chi2_sample", definition, 1.0, needs="operator", of_point=True),)

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        white, num = whitened_residuals(samples, truth)
        return {"chi2_sample": white.square().sum(2).mean(1) / num}
