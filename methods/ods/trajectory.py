"""Discrete diffusion samplers of a target N(z; 0, I) exp(reward(z)), trained by trajectory balance.

A path z_0, ..., z_T runs from noise to data. Its reference process is stationary for N(0, I) and reversible: with
variances b_i one step is N(sqrt(1 - b_i) z, b_i I) in either direction, so that

    log N(z_T) + sum_i log q(z_i | z_i+1) = log N(z_0) + sum_i log q(z_i+1 | z_i).

A sampler p_F that starts at N(0, I) then samples the target if, along every path noised back from the target, the
balance sum_i log p_F(z_i+1 | z_i) / q(z_i+1 | z_i) - reward(z_T) is the same number, -log Z. b_0 = 1: the first step
forgets z_0, hence no part of the target is left at the start.
Venkatraman et al. 2025, https://arxiv.org/abs/2502.06999; with a path measure as reference this is relative trajectory
balance, Venkatraman et al. 2024, https://arxiv.org/abs/2405.20971
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Schedule(NamedTuple):
    """Variances b_i of the T steps, and the signal abar left at z_i (`before`) and z_i+1 (`after`), each (T,)."""

    variance: Tensor
    before: Tensor
    after: Tensor


def vp_schedule(
    num_steps: int, first: float, last: float, dtype: torch.dtype = torch.float64
) -> Schedule:
    """Return the schedule with b_0 = 1, then variances that fall geometrically from `first` to `last`."""
    falling = torch.logspace(
        math.log10(first), math.log10(last), num_steps - 1, dtype=torch.float64
    )
    variance = torch.cat([torch.ones(1, dtype=torch.float64), falling])
    signal = (
        torch.cat([1 - variance, torch.ones(1, dtype=torch.float64)]).flip(0).cumprod(0).flip(0)
    )
    return Schedule(variance.to(dtype), signal[:-1].to(dtype), signal[1:].to(dtype))


def noise_backwards(z: Tensor, schedule: Schedule, noise: Tensor) -> Tensor:
    """Return paths (n, T + 1, d) of the reference process that end in z (n, d); noise (n, T, d)."""
    path = [z]
    for i in reversed(range(len(schedule.variance))):
        b = schedule.variance[i]
        path.append((1 - b).sqrt() * path[-1] + b.sqrt() * noise[:, i])
    return torch.stack(path[::-1], 1)


def bridge(u: Tensor, step: Tensor, schedule: Schedule, noise: Tensor) -> tuple[Tensor, Kernel]:
    """Draw states z_i (n, d) of steps i (n,) of the reference process that ends in u (n, d); return z_i+1's law, too.

    That law has no spread at the last step, where z_i+1 is u. noise (n, d).
    """
    b, before, after = (part[step, None] for part in schedule)
    z = before.sqrt() * u + (1 - before).sqrt() * noise
    total = 1 + (1 - after) * (1 - b) / b
    mean = (after.sqrt() * u + (1 - after) * (1 - b).sqrt() / b * z) / total
    return z, Kernel(mean, ((1 - after) / total).sqrt())


class Kernel(NamedTuple):
    """Normal steps with a diagonal covariance: means and standard deviations, broadcastable to (..., d)."""

    mean: Tensor
    std: Tensor

    def log_prob(self, z: Tensor) -> Tensor:
        """Return the log density without the constant -d/2 log 2 pi, (...,)."""
        return -(((z - self.mean) / self.std).square() / 2 + self.std.log()).sum(-1)


def cross_entropy(law: Kernel, kernel: Kernel) -> Tensor:
    """Return the mean of -log density of `kernel` under `law`, less d/2 log 2 pi, (...,)."""
    squares = (law.mean - kernel.mean).square() + law.std.square()
    return (squares / kernel.std.square() / 2 + kernel.std.log()).sum(-1)


def reference_kernel(z: Tensor, variance: Tensor) -> Kernel:
    """Return q(z_i+1 | z_i); variance broadcastable to z (..., d)."""
    return Kernel((1 - variance).sqrt() * z, variance.sqrt())


def forward_kernel(z: Tensor, variance: Tensor, pull: Tensor, precision: Tensor) -> Kernel:
    """Return the reverse of a noising step for a next state of density N(precision^-1 pull, precision^-1), diagonal.

    The reverse is exact when that density is normal; pull = 0 and precision = 1 give the reference.
    """
    total = precision + (1 - variance) / variance
    return Kernel((pull + (1 - variance).sqrt() / variance * z) / total, total.rsqrt())


def noised_precision(curvature: Tensor, signal: Tensor) -> Tensor:
    """Return the precision of sqrt(signal) z + sqrt(1 - signal) noise, for z of precision 1 + curvature."""
    return (1 + curvature) / (1 + (1 - signal) * curvature)


def balance(log_ratio: Tensor, reward: Tensor, log_z: Tensor | None = None) -> Tensor:
    """Return the errors that trajectory balance drives to zero, (k, g): k groups of g paths of one target each.

    log_ratio: log p_F - log q of the paths; without log_z (k,) the group's mean stands for it, as in VarGrad
    (Richter et al. 2020, https://arxiv.org/abs/2010.10436).
    """
    difference = log_ratio - reward
    return (
        difference - difference.mean(1, keepdim=True)
        if log_z is None
        else difference + log_z[:, None]
    )


def huber(error: Tensor, delta: float) -> Tensor:
    """Return error^2 / 2 up to |error| = delta and linear beyond."""
    return torch.where(error.abs() <= delta, error.square() / 2, delta * (error.abs() - delta / 2))


class Quality(NamedTuple):
    """Importance weights of a sampler's paths summed up: log Z estimate, its lower bound, and effective share."""

    log_z: Tensor
    elbo: Tensor
    ess: Tensor


def quality(log_ratio: Tensor, reward: Tensor) -> Quality:
    """Return the quality on n paths for each of k targets, (k, n) -> three times (k,); ess is between 1 / n and 1."""
    log_weight = reward - log_ratio
    n = log_weight.shape[1]
    log_z = log_weight.logsumexp(1) - math.log(n)
    ess = (2 * log_weight.logsumexp(1) - (2 * log_weight).logsumexp(1)).exp() / n
    return Quality(log_z, log_weight.mean(1), ess)


def flow_step(
    z: Tensor, kernel: Kernel, variance: Tensor, precision: Tensor, next_precision: Tensor
) -> Tensor:
    """Take a step without noise that keeps marginals that are normal, of precision before and after (..., d).

    The kernel's mean gives the score at z (Tweedie), and the score gives the distance of z from its marginal's mean.
    """
    offset = (z - (1 - variance).sqrt() * kernel.mean) / (variance * precision)
    slope = (1 - variance).sqrt() / variance / (next_precision + (1 - variance) / variance)
    return kernel.mean + ((precision / next_precision).sqrt() - slope) * offset
