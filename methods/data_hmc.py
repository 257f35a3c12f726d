"""Hamiltonian Monte Carlo on the posterior over images. Neal, MCMC using Hamiltonian dynamics, 2011.

https://arxiv.org/abs/1206.1901

Target: p(x | y) proportional to p(x) exp(log_likelihood(x, y)): latent_hmc's sampler without the noise space, for the
question whether the posterior is easier there.

Deviations:
- The prior's density is asked for, which only priors in closed form have: no score stands in for it.
- Steps adapt by dual averaging (Hoffman & Gelman 2014, https://arxiv.org/abs/1111.4246) over all chains of a
  measurement; a trajectory has a fixed number of leapfrog steps whose size is jittered.
- Annealing, `leniency` and the order of states are those of latent_hmc; chains start from draws of the prior, and steps
  are in units of the target's largest curvature there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import Cap, Joint, LogUniform, Prior, Problem, Random, Search
from bench.numerics import latent, mcmc

__all__ = ["DataHMC"]


@dataclass(frozen=True)
class DataHMC:
    """Chains of x from draws of the prior; every `thin`-th state after warm-up and adaptation is a sample.

    NFE: (sample_nfe + num_curvature + min(num_curvature, 1) + 1 + (num_warmup + num_adapt) * (num_leapfrog + 1)
    + ceil(s / min(num_chains, s)) * thin * num_leapfrog) * min(num_chains, s) / s forward,
    (num_curvature + min(num_curvature, 1) + 1 + (num_warmup + num_adapt) * (num_leapfrog + 1)
    + ceil(s / min(num_chains, s)) * thin * num_leapfrog) * min(num_chains, s) / s backward per sample
    """

    needs: ClassVar[Cap] = Cap.DENSITY | Cap.GRAD
    search: ClassVar[Search] = {"anneal": LogUniform(1.0, 30.0), "step": LogUniform(0.1, 2.0)}
    joint: ClassVar[Joint] = "chain"

    num_chains: int = 16  # per measurement
    num_curvature: int = 2  # power iterations for the target's curvature; 0 takes it as zero
    num_warmup: int = 20  # trajectories while the likelihood is annealed
    anneal: float = 10.0  # the likelihood's noise at the start, in units of sigma_y
    num_adapt: int = 5  # further trajectories while the step adapts
    num_leapfrog: int = 4
    thin: int = 2
    step: float = 1.0  # at the start, over the square root of 1 + curvature: a leapfrog is stable below 2
    jitter: float = 0.2  # a step is shortened by up to this share
    acceptance: float = 0.6
    leniency: float = 1e-8  # warm-up refuses a trajectory only where its weight falls below about this

    def __post_init__(self) -> None:
        for name in ("num_chains", "num_leapfrog", "thin", "step"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number > 0")
        for name in ("num_curvature", "num_warmup", "num_adapt"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number >= 0")
        if self.anneal < 1 or not 0 <= self.jitter < 1 or not 0 < self.acceptance < 1 or not 0 < self.leniency <= 1:
            raise ValueError("expected anneal >= 1, 0 <= jitter < 1, 0 < acceptance < 1 and 0 < leniency <= 1")

    def sample(self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random) -> Tensor:
        m, chains = len(y), min(self.num_chains, num_samples)
        shape = (chains, math.prod(prior.shape))
        target = partial(log_target, prior, problem, y.repeat_interleave(chains, 0))

        def trajectory(
            state: mcmc.State, step: Tensor, level: Tensor | float = 1.0, leniency: float = 1.0
        ) -> tuple[mcmc.State, Tensor]:
            momentum, shorter = rng.randn(shape).flatten(0, 1), rng.rand((chains,)).flatten()[:, None]
            uniform = leniency * rng.rand((chains,)).flatten()
            step = step * (1 - self.jitter * shorter)
            return mcmc.hmc_step(state, partial(target, level=level), step, self.num_leapfrog, momentum, uniform)

        x, direction = prior.sample(chains, rng).flatten(2).flatten(0, 1), rng.randn(shape).flatten(0, 1)
        curvature = latent.curvature(target, x, direction, self.num_curvature, m)
        state, step = self._warm_up(trajectory, target, x, curvature, m)
        samples = []
        for _ in range(math.ceil(num_samples / chains)):
            for _ in range(self.thin):
                state, _ = trajectory(state, step)
            samples.append(state.position.unflatten(1, prior.shape).unflatten(0, (m, chains)))
        return torch.cat(samples, 1)[:, :num_samples]

    def _warm_up(
        self, trajectory: Callable, target: Callable, x: Tensor, curvature: Tensor, m: int
    ) -> tuple[mcmc.State, Tensor]:
        """States at noise level 1, and the step (n, 1) that the chains of a measurement have adapted to."""
        levels = torch.logspace(0, math.log10(self.anneal), self.num_warmup + 1, dtype=x.dtype, device=x.device).flip(0)
        state = mcmc.start(x, partial(target, level=levels[0]))
        adaptation = mcmc.DualAveraging.begin(torch.full_like(curvature, self.step))
        for i in range(self.num_warmup + self.num_adapt):
            level = levels[min(i + 1, self.num_warmup)]
            state = mcmc.start(state.position, partial(target, level=level))
            step = adaptation.log_step.exp() / (1 + curvature).sqrt()
            state, acceptance = trajectory(state, step, level, self.leniency if i < self.num_warmup else 1.0)
            adaptation = adaptation.updated(latent.per_measurement(acceptance, m, torch.mean), self.acceptance)
        return state, adaptation.kept.exp() / (1 + curvature).sqrt()


def log_target(
    prior: Prior, problem: Problem, y: Tensor, x: Tensor, level: Tensor | float = 1.0
) -> tuple[Tensor, Tensor]:
    """log p(x | y) up to a constant, (n,), and its gradient, (n, d), with `level` times the likelihood's noise."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        image = x.unflatten(1, prior.shape)
        value = prior.log_prob(image) + problem.log_likelihood(image, y) / level**2
        (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient
