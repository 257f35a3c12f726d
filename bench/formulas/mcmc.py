"""Markov chain and sequential Monte Carlo kernels. Rows are chains; none of them influences another."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Target = Callable[[Tensor], tuple[Tensor, Tensor]]  # position (n, d) -> log density (n,), its gradient (n, d)

MALA_ACCEPTANCE = 0.574  # optimal in high dimension: Roberts & Rosenthal 1998, https://doi.org/10.1111/1467-9868.00123


class State(NamedTuple):
    """Positions (n, d) with the target's log density (n,) and gradient (n, d) there."""

    position: Tensor
    log_density: Tensor
    gradient: Tensor


def start(position: Tensor, target: Target) -> State:
    return State(position, *target(position))


def langevin_step(state: State, target: Target, step: Tensor, noise: Tensor) -> State:
    """Unadjusted Langevin: x + step * gradient + sqrt(2 step) noise; step () or (n, 1)."""
    return start(state.position + step * state.gradient + (2 * step).sqrt() * noise, target)


def mala_step(state: State, target: Target, step: Tensor, noise: Tensor, uniform: Tensor) -> tuple[State, Tensor]:
    """Metropolis-adjusted Langevin step and its acceptance probabilities (n,); uniform (n,) decides.

    `uniform` = 0 refuses nothing but what has no probability at all. Roberts & Tweedie 1996,
    https://doi.org/10.2307/3318418
    """
    proposal = langevin_step(state, target, step, noise)
    backward = state.position - proposal.position - step * proposal.gradient
    log_ratio = proposal.log_density - state.log_density
    log_ratio = log_ratio - backward.square().sum(1) / (4 * step.view(-1)) + noise.square().sum(1) / 2
    acceptance = log_ratio.clamp_max(0).exp().nan_to_num(0.0)  # a proposal where nothing is finite is refused
    chosen = uniform < acceptance
    return State(*(where_row(chosen, new, old) for new, old in zip(proposal, state, strict=True))), acceptance


def where_row(chosen: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """Rows of `new` where `chosen` (n,), else of `old`."""
    return torch.where(chosen.view(-1, *[1] * (old.dim() - 1)), new, old)


def tamed_langevin_step(state: State, target: Target, step: Tensor, noise: Tensor) -> State:
    """Unadjusted Langevin whose drift is at most twice as long as its noise is on average.

    Where the gradient changes within one step a plain unadjusted chain is thrown out for good. In equilibrium the drift
    is shorter than the noise. After Brosse et al. 2019, https://arxiv.org/abs/1710.05559
    """
    drift, limit = step * state.gradient, 2 * (2 * step * noise.shape[1]).sqrt()
    drift = drift * (limit / drift.norm(dim=1, keepdim=True)).clamp_max(1)
    return start(state.position + drift + (2 * step).sqrt() * noise, target)


def adapted_step(step: Tensor, acceptance: Tensor, rate: float) -> Tensor:
    """Robbins-Monro in log step towards MALA's optimal acceptance; shapes of step and acceptance agree."""
    return step * torch.exp(rate * (acceptance - MALA_ACCEPTANCE))


def next_temperature(log_likelihood: Tensor, beta: Tensor, ess_share: float) -> Tensor:
    """Largest beta' <= 1 at which the weights exp((beta' - beta) log_likelihood) keep `ess_share` of the particles.

    log_likelihood (m, n), beta (m,) -> (m,), by bisection, one temperature a measurement.
    """
    low, high = beta.clone(), torch.ones_like(beta)
    for _ in range(50):
        middle = (low + high) / 2
        log_weight = ((middle - beta)[:, None] * log_likelihood).log_softmax(1)
        enough = (-(2 * log_weight).logsumexp(1)).exp() >= ess_share * log_likelihood.shape[1]
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
    return torch.where(high > 1 - 1e-9, torch.ones_like(high), low)


def systematic_resample(weights: Tensor, uniform: Tensor) -> Tensor:
    """Indices (m, n) of n particles resampled with weights (m, n), uniform (m,) in [0, 1)."""
    n = weights.shape[1]
    points = (torch.arange(n, dtype=weights.dtype, device=weights.device) + uniform[:, None]) / n
    return torch.searchsorted(weights.cumsum(1), points).clamp_max(n - 1)
