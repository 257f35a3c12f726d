"""Posterior predictive checks under Gaussian noise, in closed form: does the residual of a sample look like noise?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.metrics._residuals import NOTHING_MEASURED, where_measured, whitened_residuals

__all__ = ["PredictiveChecks"]


@dataclass(frozen=True)
class PredictiveChecks(Metric):
    """Probability that fresh noise has a larger sum of squares, and a larger maximum, than the residual."""

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return (
            Column(
                "ppc-chi2",
                "posterior predictive check: mean over samples of P(|e|^2 > |residual|^2) for fresh noise e of the "
                "same number of values; near 0 samples miss the data, near 1 they fit the noise. Under the joint law "
                "of x and y its expectation is 0.5; that of one y may differ: compare with the reference",
                0.5,
                needs="operator",
                undefined=NOTHING_MEASURED,
            ),
            Column(
                "ppc-max",
                "posterior predictive check: mean over samples of P(max |e| > max |residual|), as ppc-chi2; near 0 a "
                "few values are missed by far",
                0.5,
                needs="operator",
                undefined=NOTHING_MEASURED,
            ),
        )

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        white, num = whitened_residuals(samples, truth)
        return {
            "ppc-chi2": where_measured(squares_exceeded(white, num).mean(1), num),
            "ppc-max": where_measured(largest_exceeded(white, num).mean(1), num),
        }


def largest_exceeded(residual: Tensor, num: Tensor) -> Tensor:
    """Return P(the largest of `num` standard normal magnitudes exceeds that of the residual).

    (m, s, n), (m,) -> (m, s). It is 1 - erf(t / sqrt 2)^num, through log1p: for large t the power rounds to 1.
    """
    beyond = torch.special.erfc(residual.abs().amax(2) / math.sqrt(2))
    return -torch.expm1(num[:, None] * torch.log1p(-beyond))


def squares_exceeded(residual: Tensor, num: Tensor) -> Tensor:
    """Return P(chi-square of `num` degrees exceeds the residual's sum of squares), (m, s, n), (m,) -> (m, s)."""
    squares = residual.square().sum(2)
    return torch.special.gammaincc((num[:, None] / 2).expand_as(squares), squares / 2)
