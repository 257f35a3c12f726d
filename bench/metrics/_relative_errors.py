"""Errors of samples relative to the spread of the posterior: s exact draws have 1 / s in expectation."""

from __future__ import annotations

import math

from torch import Tensor

from bench.core.metric import Truth
from bench.metrics._spread import ratio, resolution_of
from bench.numerics.distances import mean_distance_within, relative_energy

SINGLE_POINT = "n/a (exact posterior is a single point)"


def relative_error_of_mean(x: Tensor, truth: Truth) -> Tensor:
    """Return |mean of x - mu|^2 / tr(Sigma) of samples (m, s, D) -> (m,), unbiased in the reference draws.

    Where mu is the mean of e draws its own error, tr(Sigma) / e in expectation, is subtracted.
    """
    mean, std = truth.mean.flatten(1), truth.std.flatten(1)
    variance = std.square().sum(1)
    own = 0.0 if truth.has_formula else variance / truth.reference.shape[1]
    error = (x.mean(1) - mean).square().sum(1) - own
    return ratio(error, variance, resolution_of(x.shape[2]) ** 2)


def relative_energy_of(x: Tensor, truth: Truth) -> Tensor:
    """Return the relative energy distance of samples (m, s, D) to the posterior, (m,); NaN where that is one point."""
    within = truth.of_draws(mean_distance_within)
    within = within.where(within > resolution_of(x.shape[2]), math.nan)
    return relative_energy(x, truth.draws, within)
