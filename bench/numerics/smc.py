"""Sequential Monte Carlo: the next power of the likelihood, and the particles that survive resampling."""

from __future__ import annotations

import torch
from torch import Tensor


def next_temperature(log_likelihood: Tensor, beta: Tensor, ess_share: float) -> Tensor:
    """Return the largest beta' <= 1 at which weights exp((beta' - beta) log_likelihood) keep `ess_share` of them.

    log_likelihood (m, n), beta (m,) -> (m,), by bisection for each measurement.
    """
    low, high = beta.clone(), torch.ones_like(beta)
    for _ in range(50):
        middle = (low + high) / 2
        log_weight = ((middle - beta)[:, None] * log_likelihood).log_softmax(1)
        enough = (-(2 * log_weight).logsumexp(1)).exp() >= ess_share * log_likelihood.shape[1]
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
    return torch.where(high > 1 - 1e-9, torch.ones_like(high), low)


def systematic_resample(weights: Tensor, uniform: Tensor, num_drawn: int | None = None) -> Tensor:
    """Return indices (m, num_drawn) of particles resampled with weights (m, n); num_drawn: n by default.

    uniform (m,) in [0, 1).
    """
    last = weights.shape[1] - 1
    n = num_drawn or last + 1
    points = (torch.arange(n, dtype=weights.dtype, device=weights.device) + uniform[:, None]) / n
    return torch.searchsorted(weights.cumsum(1), points).clamp_max(last)
