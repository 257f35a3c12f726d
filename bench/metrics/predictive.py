"""Posterior predictive checks under Gaussian noise, in closed form: is the residual of a sample one of noise?"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def largest_exceeded(residual: Tensor, num: Tensor) -> Tensor:
    """P(the largest of `num` standard normal magnitudes exceeds that of the residual), `(m, s, n)`, `(m,)` -> `(m, s)`.

    1 - erf(t / sqrt 2)^num, through log1p: for large t the power is 1 but for rounding.
    """
    beyond = torch.special.erfc(residual.abs().amax(2) / math.sqrt(2))
    return -torch.expm1(num[:, None] * torch.log1p(-beyond))


def squares_exceeded(residual: Tensor, num: Tensor) -> Tensor:
    """P(chi-square of `num` degrees exceeds the residual's sum of squares), `(m, s, n)`, `(m,)` -> `(m, s)`."""
    squares = residual.square().sum(2)
    return torch.special.gammaincc((num[:, None] / 2).expand_as(squares), squares / 2)
