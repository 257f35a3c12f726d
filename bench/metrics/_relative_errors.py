"""Errors of samples relative to the spread of the posterior: s exact draws have 1 / s in expectation."""

from __future__ import annotations

from torch import Tensor

from bench.core.metric import Truth
from bench.metrics._spread import ratio, resolution_of
from bench.numerics.distances import distances, mean_distance_within

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


def relative_energy(x: Tensor, truth: Truth) -> Tensor:
    """Return the energy distance of the samples' own empirical law over E|Y-Y'|, (m, s, D) -> (m,).

    All pairs of samples count, each with itself, too (a V-statistic), because what is judged are these s points and
    not the law that they were drawn from; the part of the reference draws is unbiased.
    """
    within = truth.of_draws(mean_distance_within)
    energy = 2 * distances(x, truth.draws).mean((1, 2)) - distances(x, x).mean((1, 2)) - within
    return ratio(energy, within, resolution_of(x.shape[2]))
