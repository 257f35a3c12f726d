"""Coverage of central intervals of the samples, pixel by pixel, exact at any number of samples and with ties."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.metrics.distances import RESOLUTION


def rank_interval(samples: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Start and width of the interval on which the randomised rank (PIT) of each value among s samples is uniform.

    `(m, s, D)`, `(m, e, D)` -> two of `(m, D, e)`. With `below` samples under the value and `equal` ties the interval
    is [below, below + equal + 1] / (s + 1). A value exchangeable with the samples has a uniform rank, ties or not.
    """
    ordered = _rounded(samples).sort(-1).values
    values = _rounded(values)
    below = torch.searchsorted(ordered, values)
    up_to = torch.searchsorted(ordered, values, right=True)
    cells = samples.shape[1] + 1
    return below.to(samples) / cells, (up_to - below + 1).to(samples) / cells


def coverage(start: Tensor, width: Tensor, level: float) -> Tensor:
    """Mean probability that the randomised rank falls into the central `level`, `(m, D, e)` twice -> `(m,)`.

    The randomisation is integrated, not drawn: the share of each rank interval that lies in the central one.
    """
    low, high = (1 - level) / 2, (1 + level) / 2
    inside = (start + width).clamp(max=high) - start.clamp(min=low)
    return (inside.clamp(min=0) / width).mean((1, 2))


def _rounded(x: Tensor) -> Tensor:
    """In units of RESOLUTION, one row per pixel, `(m, n, D)` -> `(m, D, n)`: rounding noise is no difference."""
    return (x.mT / RESOLUTION).round().contiguous()
