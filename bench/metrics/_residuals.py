"""Residuals of samples in units of the noise."""

from __future__ import annotations

import math

from torch import Tensor

from bench.core.metric import Truth

NOTHING_MEASURED = "n/a (no value was measured)"  # under an empty mask


def whitened_residuals(samples: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
    """Return residuals over sigma_y (m, s, n), and the number of measured values of each measurement (m,).

    samples: (m, s, *x). Values that were not measured are zero.
    """
    s = samples.shape[1]
    residual = truth.problem.residual(samples.flatten(0, 1), truth.y.repeat_interleave(s, 0))
    white = residual.flatten(1).unflatten(0, (-1, s)) / truth.problem.sigma_y
    return white, truth.problem.num_measured_values(truth.y)


def where_measured(values: Tensor, num: Tensor) -> Tensor:
    """Return values (m,), NaN where no value was measured and infinite where they overflow; num (m,)."""
    return values.nan_to_num(math.inf, math.inf).where(num > 0, math.nan)
