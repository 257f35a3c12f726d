"""Ranks of values among the samples, exact at any number of samples and with ties.

Talts et al. 2018, https://arxiv.org/abs/1804.06788; Lemos et al. 2023, https://arxiv.org/abs/2302.03026.
"""

from __future__ import annotations

import torch
from scipy.special import betaincinv
from torch import Tensor
from torch.nn import functional

from bench.core.metric import Truth
from bench.core.rng import stream
from bench.numerics.distances import RESOLUTION, ascending, distances

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
BAND = 0.99  # level of the intervals of shares, as in the tables
NUM_POINTS = 16  # reference points of TARP
MOST_RANKED = 1024  # values of an image whose ranks are looked up, which takes most of the time
# start and width of the interval on which a randomised rank is uniform, (m, D, e) each
Ranks = tuple[Tensor, Tensor]


def rank_interval(samples: Tensor, values: Tensor) -> Ranks:
    """Return the interval on which the randomised rank (PIT) of each value among s samples is uniform.

    samples: (m, s, D). values: (m, e, D). Start and width are (m, D, e) each. With `below` samples under the value and
    `equal` ties the interval is [below, below + equal + 1] / (s + 1). A value exchangeable with the samples has a
    uniform rank, ties or not.
    """
    return _interval(ascending(_rounded(samples)), _rounded(values))


def _interval(samples: Tensor, values: Tensor) -> Ranks:
    """Return `rank_interval` from sorted samples (m, D, s) and values (m, D, e), in whole units of RESOLUTION."""
    below, up_to = (torch.searchsorted(samples, values, right=right) for right in (False, True))
    cells = samples.shape[-1] + 1
    return below.double() / cells, (up_to - below + 1).double() / cells


def coverage(start: Tensor, width: Tensor, level: float) -> Tensor:
    """Return the mean probability that the randomised rank falls into the central `level`, `(m, D, e)` twice -> `(m,)`.

    The randomisation is integrated, not drawn: the result is the share of each rank interval in the central interval.
    """
    low, high = (1 - level) / 2, (1 + level) / 2
    inside = (start + width).clamp(max=high) - start.clamp(min=low)
    return (inside.clamp(min=0) / width).mean((1, 2))


def coverages(samples: Tensor, values: Tensor) -> dict[float, Tensor]:
    """Return `coverage` at each of LEVELS, (m,) each, of values (m, D, e) by samples (m, D, s), both `ordered`."""
    if values.shape[-1] < samples.shape[-1]:
        ranks = _interval(samples, values)
        return {level: coverage(*ranks, level) for level in LEVELS}
    shares = rank_shares(samples, values)
    cells = torch.arange(shares.shape[1])[:, None, None].to(shares) / shares.shape[1]
    width = torch.full_like(cells, 1 / len(cells))
    return {level: shares @ coverage(cells, width, level) for level in LEVELS}


def ordered(points: Tensor) -> Tensor:
    """Return points (m, e, D) in whole units of RESOLUTION, sorted along e, (m, D, e) float32.

    If there are more than MOST_RANKED of the D values, as many of them are taken, the same for all points.
    """
    dimension = points.shape[2]
    if dimension > MOST_RANKED:
        some = stream("ranked values", dimension).permutation(dimension)[:MOST_RANKED]
        points = points[:, :, torch.from_numpy(some)]
    return ascending(_rounded(points).float())


def rank_shares(samples: Tensor, values: Tensor) -> Tensor:
    """Return the distribution of the randomised rank among s samples: shares (m, s + 1) in cells [k, k + 1] / (s + 1).

    samples: (m, D, s). values: (m, D, e). Both are `ordered`. A value tied with c samples is spread evenly over c + 1
    cells, as in `rank_interval`. Samples are looked up among the values, not values among samples, as they are fewer.
    """
    num_values = values.shape[-1]
    below, up_to = (torch.searchsorted(values, samples, right=right) for right in (False, True))
    # equal samples are a group: gaps and ties belong to its first and last member
    is_new = functional.pad(samples.diff(dim=-1) != 0, (1, 1), value=True)
    group = is_new[..., :-1].cumsum(-1) - 1
    size = torch.zeros_like(group).scatter_add_(-1, group, torch.ones_like(group)).gather(-1, group)
    ties = (up_to - below).double() / (size + 1)
    gaps = functional.pad(below, (0, 1), value=num_values) - functional.pad(up_to, (1, 0))
    in_cells = functional.pad(ties, (0, 1)) + functional.pad(ties * is_new[..., 1:], (1, 0))
    return (gaps * is_new + in_cells).sum(1) / (samples.shape[1] * num_values)


def share_below(start: Tensor, width: Tensor, level: float) -> Tensor:
    """Return the mean probability that the randomised rank is at most `level`, `(m, D, e)` twice -> `(m,)`."""
    return ((level - start) / width).clamp(0, 1).mean((1, 2))


def mean_rank(start: Tensor, width: Tensor) -> Tensor:
    """Return the expectation of the randomised rank, `(m, D, e)` twice -> `(m,)`; 1/2 for equal distributions."""
    return (start + width / 2).mean((1, 2))


def spread_of_ranks(start: Tensor, width: Tensor) -> Tensor:
    """Return 12 E(u - 1/2)^2 of the randomised rank u, `(m, D, e)` twice -> `(m,)`; 1 for equal distributions."""
    return 12 * ((start + width / 2 - 0.5).square() + width.square() / 12).mean((1, 2))


def to_points(x: Tensor) -> Tensor:
    """Return distances to TARP's reference points, `(m, n, D)` -> `(m, n, NUM_POINTS)`.

    The points, uniform on [-1, 1], are the same for every task and method of that dimension. A rank is calibrated for
    any point that depends neither on the samples nor on x_true.
    """
    dimension = x.shape[-1]
    points = torch.from_numpy(stream("tarp", dimension).uniform(-1, 1, (NUM_POINTS, dimension)))
    return distances(x, points.to(x).expand(len(x), -1, -1))


def share_interval(share: float, num: int) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of a share of `num` independent cases, at the level BAND.

    It misses a level if and only if the share is outside the band of `num` cases with that level, whose tails have at
    most (1 - BAND) / 2 each. A share that is a mean of probabilities, or over points, varies less, so that the
    interval is valid for it, too.
    """
    cases, tail = share * num, (1 - BAND) / 2
    low = float(betaincinv(cases, num - cases + 1, tail)) if cases > 0 else 0.0
    high = float(betaincinv(cases + 1, num - cases, 1 - tail)) if cases < num else 1.0
    return low, high


def _rounded(x: Tensor) -> Tensor:
    """Return x in whole units of RESOLUTION, (m, n, D) -> (m, D, n), so that rounding noise is no difference."""
    return (x.mT / RESOLUTION).round().contiguous()


def misfits(samples: Tensor, truth: Truth) -> Tensor:
    """Return minus the log likelihood of samples, (m, s, *x) -> (m, s, 1)."""
    return -truth.log_likelihood(samples)[..., None]
