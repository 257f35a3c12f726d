"""Misfit to the measurement in units of its noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._residuals import NOTHING_MEASURED, where_measured, whitened_residuals

__all__ = ["Chi2"]


@dataclass(frozen=True)
class Chi2(Metric):
    """Squared residual over that of the noise."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        definition = (
            "misfit to the measurement: mean over samples of |residual|^2 / (sigma_y^2 times the number of observed "
            "values); 1 for x_true, in expectation"
        )
        how: dict[str, Any] = {"undefined": NOTHING_MEASURED, "of_point": True}
        return (Column("chi2_sample", definition, 1.0, needs="operator", **how),)

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        white, num = whitened_residuals(samples, truth)
        return {"chi2_sample": where_measured(white.square().sum(2).mean(1) / num, num)}
