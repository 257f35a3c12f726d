"""Distances between two sets of points per measurement: samples (m, s, D) and reference draws (m, e, D), flattened."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from bench.core.rng import stream

# data units per pixel: values that differ by less are ties (an 8-bit grey level is 8e-3)
RESOLUTION = 1e-4
# values of a point up to which a distance is summed term by term; others come from a matrix product, ten times faster
MOST_TERMS = 256
SAME = 1e-12  # squared distance over squared lengths below which two long points are one, 100 times its rounding error


@cache  # drawing them takes longer than projecting on them
def directions(dimension: int, num_projections: int = 128) -> Tensor:
    """Return unit vectors `(D, num_projections)`, the same for every task and method of that dimension."""
    normal = torch.from_numpy(
        stream("sliced-wasserstein", dimension).standard_normal((dimension, num_projections))
    )
    return normal / normal.norm(dim=0)


def projected(points: Tensor) -> Tensor:
    """Return sorted projections on the fixed directions, `(m, n, D)` -> `(m, num_projections, n)`."""
    return ascending((points @ directions(points.shape[-1]).to(points)).mT)


def ascending(values: Tensor) -> Tensor:
    """Return values sorted along the last axis, contiguous, without a gradient; numpy's sort is five times as fast."""
    if values.device.type != "cpu":
        return values.detach().sort(-1).values.contiguous()
    ordered = np.array(values.detach().numpy(), order="C")
    ordered.sort(-1)
    return torch.from_numpy(ordered)


def sliced_wasserstein2(x: Tensor, y: Tensor) -> Tensor:
    """Return the sliced Wasserstein-2 distance from `projected` points (m, p, n), (m, p, e) -> (m,), in data units."""
    return wasserstein2_squared(x, y).mean(-1).sqrt()


def wasserstein2_squared(x: Tensor, y: Tensor) -> Tensor:
    """Return the exact squared W2 on the line of two sorted samples of any sizes, `(..., n)`, `(..., e)` -> `(...)`.

    Integrates the squared difference of the two quantile functions, both constant between multiples of 1/n and 1/e.
    """
    n, e = x.shape[-1], y.shape[-1]
    if e % n == 0:  # each value of x is paired with e / n values of y, so that no look-up is needed
        widths = torch.full((e,), float(n)).to(x) / (n * e)
        return (x[..., None] - y.unflatten(-1, (n, -1))).square().flatten(-2) @ widths
    # in units of 1 / (n e)
    ends = torch.unique(torch.cat([torch.arange(n + 1) * e, torch.arange(e + 1) * n]))
    starts, widths = ends[:-1], ends.diff().to(x) / (n * e)
    return (x[..., starts // e] - y[..., starts // n]).square() @ widths


def distances(x: Tensor, y: Tensor) -> Tensor:
    """Return Euclidean distances (m, n, e) of points (m, n, D) to (m, e, D), exactly zero for equal points."""
    if x.shape[2] <= MOST_TERMS:
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    # images: their lengths are no more than some hundred times their distances, so that few digits are lost
    of_x, of_y = (torch.linalg.vector_norm(points, dim=2).square() for points in (x, y))
    lengths = of_x[:, :, None] + of_y[:, None]
    squares = torch.baddbmm(lengths, x, y.mT, alpha=-2)
    return squares.masked_fill_(squares < SAME * lengths, 0).sqrt_()


def mean_distance_within(x: Tensor) -> Tensor:
    """Return the mean distance between two different points of one set, `(m, n, D)` -> `(m,)`."""
    return mean_off_diagonal(distances(x, x))


def mean_off_diagonal(within: Tensor) -> Tensor:
    """Return the mean distance between two different points from all distances in a set, `(m, n, n)` -> `(m,)`."""
    n = within.shape[1]
    return within.sum((1, 2)) / (n * (n - 1))


def energy_distance(x: Tensor, y: Tensor, within_y: Tensor) -> Tensor:
    """Return the unbiased energy distance `(m,)`, as a U-statistic; `within_y` is `mean_distance_within(y)`.

    Szekely and Rizzo 2013, https://doi.org/10.1016/j.jspi.2013.03.018
    """
    return 2 * distances(x, y).mean((1, 2)) - mean_distance_within(x) - within_y


def relative_energy(x: Tensor, y: Tensor, within_y: Tensor) -> Tensor:
    """Return the energy distance of the empirical law of x (m, s, D) to that behind y (m, e, D), over E|Y-Y'|, (m,).

    All pairs of x count, including each point with itself (a V-statistic), because these s points are judged and not
    the law that they were drawn from; the term of y is unbiased. For s draws of the law behind y the expectation is
    1 / s.
    """
    return relative_energy_from(distances(x, x), distances(x, y), within_y)


def relative_energy_from(within: Tensor, between: Tensor, within_y: Tensor) -> Tensor:
    """Return `relative_energy` from distances in x `(m, s, s)`, from x to y `(m, s, e)`, and E|Y-Y'| `(m,)`."""
    return (2 * between.mean((1, 2)) - within.mean((1, 2))) / within_y - 1


def two_sample_accuracy(x: Tensor, y: Tensor) -> Tensor:
    """Return the accuracy of telling samples from reference draws, (m, s, D) twice -> (m,); 0.5 for equal laws.

    Each point is assigned to the set whose centroid, in the kernel space of the energy distance, is nearer:
    |z - centre of X|^2 = E|z-X| - E|X-X'| / 2 (Sejdinovic et al. 2013, https://arxiv.org/abs/1207.6076). The point and
    one point of the other set, each in turn, are left out of the centroids: for equal laws the sets are then
    exchangeable, and the expectation is exactly 0.5. Differences within RESOLUTION count one half. Nearest neighbours
    would not do: in many dimensions the neighbours of reference draws are samples of a collapsed sampler, whose
    accuracy stays near 0.5.
    """
    votes = two_sample_votes(distances(x, x), distances(x, y), distances(y, y), x.shape[2])
    return (1 + votes).mean((1, 2)) / 2


def two_sample_votes(within_x: Tensor, between: Tensor, within_y: Tensor, dimension: int) -> Tensor:
    """Return 1 for a point assigned to its own set, -1 to the other and 0 for ties, (m, 2 s, s): one left out in each.

    within_x, between, within_y: distances (m, s, s) in X, from X to Y and in Y. dimension: values of a point.
    """
    others = within_x.shape[1] - 1
    half_x = _half_without_each(within_x)[:, :, None]
    half_y = _half_without_each(within_y)[:, None, :]
    x_to_x = within_x.sum(2)[:, :, None] / others - half_x
    # (m, s, s): of x_i when y_j is left out
    x_to_y = (between.sum(2, keepdim=True) - between) / others - half_y
    y_to_x = (between.sum(1, keepdim=True) - between) / others - half_x
    y_to_y = within_y.sum(2)[:, None, :] / others - half_y
    margins = torch.cat([x_to_y - x_to_x, y_to_x - y_to_y], 1)
    return (margins / (RESOLUTION * math.sqrt(dimension))).round().sign()


def _half_without_each(within: Tensor) -> Tensor:
    """Return half the mean distance between the points of a set when one is left out, (m, s, s) -> (m, s)."""
    s = within.shape[1]
    return (within.sum((1, 2))[:, None] - 2 * within.sum(2)) / (2 * (s - 1) * (s - 2))
