"""The limit of Adjoint Matching where its assumptions do not hold.

Title: Adjoint Matching: Fine-tuning Flow and Diffusion Generative Models with Memoryless Stochastic Optimal Control
Venue: ICLR 2025
URL: https://arxiv.org/abs/2409.08861
Deviations: nothing is trained. Adjoint Matching learns the control of dx = b dt + sigma(t) dB that trades E log r(x_1)
  against its own energy, x_0 keeping its law. The optimum weights each path by r(x_1) / E[r(x_1) | x_0]; here that is
  drawn, one of `num_paths` uncontrolled paths for each start, so that no error is one of training.

The process is that of its memoryless schedule, b = 2 v - x / t and sigma(t)^2 = 2 (1 - t) / t, which has the flow's
marginals when the source is N(0, I) and independent of the data. A flow between minibatches paired by optimal
transport, or from another source, breaks that, and the optimum is then not p(x) r(x).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.core.types import Random
from bench.numerics.diffusion import ancestral_step
from bench.papers.toys.generators import Flow


def naive_adjoint_matching(
    flow: Flow,
    log_reward: Callable[[Tensor], Tensor],
    num_samples: int,
    rng: Random,
    num_paths: int = 64,
    num_steps: int = 40,
) -> Tensor:
    """Return end points (num_samples, 2) of the optimally controlled process, one per start."""
    x = flow.source.sample(num_samples, rng).repeat_interleave(num_paths, 0)
    x = memoryless_paths(flow, x, rng, num_steps)
    weights = log_reward(x).unflatten(0, (num_samples, num_paths)).softmax(1)
    chosen = torch.searchsorted(weights.cumsum(1), rng.rand((num_samples, 1))[0]).clamp_max(
        num_paths - 1
    )
    return x.unflatten(0, (num_samples, num_paths))[torch.arange(num_samples), chosen[:, 0]]


def memoryless_paths(flow: Flow, x: Tensor, rng: Random, num_steps: int) -> Tensor:
    """Return end points of the uncontrolled process from x (n, 2), by ancestral steps of x / t = x_1 + sigma eps."""
    times = torch.linspace(0, 1, num_steps + 1, dtype=x.dtype)
    sigma = (1 - times) / times
    for i in range(num_steps):
        x_1 = x + (1 - times[i]) * flow.velocity(x, times[i])
        noise = rng.randn((len(x), 2))[0]
        if i == 0:  # the noise level is infinite, so that the start enters by the prediction alone
            x = times[1] * (x_1 + sigma[1] * noise)
        else:
            x = times[i + 1] * ancestral_step(x / times[i], x_1, sigma[i], sigma[i + 1], noise)
    return x
