"""Errors of samples relative to the spread of the posterior: s exact draws have 1 / s in expectation."""

from __future__ import annotations

import math

from torch import Tensor

from bench.core.metric import Truth
from bench.metrics._distances import to_draws, within_samples
from bench.metrics._spread import is_one_image, over_posterior
from bench.numerics.distances import mean_distance_within, relative_energy_from


def relative_error_of_mean(x: Tensor, truth: Truth) -> Tensor:
    """Return |mean of x - mu|^2 / tr(Sigma) of samples (m, s, D) -> (m,), unbiased in the reference draws.

    If mu is the mean of e draws, its own error, tr(Sigma) / e in expectation, is subtracted. The result is NaN where
    the posterior is nearly one image.
    """
    mean, std = truth.mean.flatten(1), truth.std.flatten(1)
    variance = std.square().sum(1)
    own = 0.0 if truth.has_formula else variance / truth.reference.shape[1]
    error = (x.mean(1) - mean).square().sum(1) - own
    return over_posterior(error, variance, truth)


def relative_energy_of(samples: Tensor, truth: Truth, num: int | None = None) -> Tensor:
    """Return the relative energy distance of the first `num` samples (m, s, *x) to the posterior, (m,); None: of all.

    The result is NaN where the posterior is nearly one image.
    """
    of_draws = truth.of_draws(mean_distance_within)
    of_draws = of_draws.masked_fill(is_one_image(truth), math.nan)
    within, between = within_samples(samples, truth), to_draws(samples, truth)
    return relative_energy_from(within[:, :num, :num], between[:, :num], of_draws)
