"""Distances between the samples of a measurement, and to its reference draws, computed once for all metrics."""

from __future__ import annotations

from torch import Tensor

from bench.core.metric import Truth
from bench.numerics.distances import (
    distances,
    mean_distance_within,
    mean_off_diagonal,
)


def within_samples(samples: Tensor, truth: Truth) -> Tensor:
    """Return the distances between samples (m, s, *x) of a measurement, (m, s, s)."""
    return truth.of_samples(samples, _within)


def to_draws(samples: Tensor, truth: Truth) -> Tensor:
    """Return the distances of samples (m, s, *x) to the reference draws, (m, s, e)."""
    return truth.of_samples(samples, _to_draws)


def energy_of(samples: Tensor, truth: Truth) -> Tensor:
    """Return the unbiased energy distance of samples (m, s, *x) to the reference draws, (m,)."""
    between = 2 * to_draws(samples, truth).mean((1, 2))
    return (
        between
        - mean_off_diagonal(within_samples(samples, truth))
        - truth.of_draws(mean_distance_within)
    )


def _within(samples: Tensor, truth: Truth) -> Tensor:
    x = samples.flatten(2)
    return distances(x, x)


def _to_draws(samples: Tensor, truth: Truth) -> Tensor:
    return distances(samples.flatten(2), truth.draws)
