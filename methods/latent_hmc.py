"""Hamiltonian Monte Carlo in the noise space of a generator. Hoffman, Sountsov et al., NeuTra-HMC, 2019.

https://arxiv.org/abs/1903.03704

Target: p(z | y) proportional to N(z; 0, I) exp(log_likelihood(f(z), y)), x = f(z).

Deviations:
- The map f is the generator, and not a flow fitted to the posterior: latents are white under the prior only.
- Steps adapt by dual averaging (Hoffman & Gelman 2014, https://arxiv.org/abs/1111.4246) over all chains of a
  measurement; a trajectory has a fixed number of leapfrog steps whose size is jittered, in place of the no-U-turn rule.
- The likelihood is annealed during warm-up: its noise falls geometrically from `anneal` times sigma_y to sigma_y. The
  uniform number that decides is multiplied by `leniency` there: while chains are on their way, energy errors of a few
  nats matter less than standing still. `anneal = 1` and `leniency = 1` give the plain sampler.
- State t of chain c is sample t * num_chains + c.
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

__all__ = ["LatentHMC"]


@dataclass(frozen=True)
class LatentHMC:
    """Chains of z from draws of N(0, I); every `thin`-th state after warm-up and adaptation is a sample.

    NFE: (num_curvature + min(num_curvature, 1) + 1 + (num_warmup + num_adapt) * num_leapfrog
    + ceil(s / min(num_chains, s)) * (thin * num_leapfrog + 1)) * decode_nfe * min(num_chains, s) / s forward,
    (num_curvature + min(num_curvature, 1) + 1 + (num_warmup + num_adapt) * num_leapfrog
    + ceil(s / min(num_chains, s)) * thin * num_leapfrog) * decode_nfe * min(num_chains, s) / s backward per sample
    """

    needs: ClassVar[Cap] = Cap.DECODER | Cap.GRAD
    search: ClassVar[Search] = {"anneal": LogUniform(1.0, 30.0), "step": LogUniform(0.1, 2.0)}
    joint: ClassVar[Joint] = "chain"

    num_chains: int = 16  # per measurement
    num_curvature: int = 2  # power iterations for the likelihood's curvature; 0 takes it as zero
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
        if self.anneal < 1 or not 0 <= self.jitter < 1 or not 0 < self.acceptance < 1:
            raise ValueError("expected anneal >= 1, 0 <= jitter < 1 and 0 < acceptance < 1")
        if not 0 < self.leniency <= 1:
            raise ValueError(f"leniency = {self.leniency}: expected a number in (0, 1]")

    def sample(self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random) -> Tensor:
        m, chains = len(y), min(self.num_chains, num_samples)
        shape = (chains, math.prod(prior.latent_shape))
        log_likelihood = partial(latent.log_likelihood, prior, problem, y.repeat_interleave(chains, 0))

        def trajectory(
            state: mcmc.State, step: Tensor, level: Tensor | float = 1.0, leniency: float = 1.0
        ) -> tuple[mcmc.State, Tensor]:
            momentum, shorter = rng.randn(shape).flatten(0, 1), rng.rand((chains,)).flatten()[:, None]
            target, uniform = partial(tempered, log_likelihood, level), leniency * rng.rand((chains,)).flatten()
            step = step * (1 - self.jitter * shorter)
            return mcmc.hmc_step(state, target, step, self.num_leapfrog, momentum, uniform)

        z, direction = rng.randn(shape).flatten(0, 1), rng.randn(shape).flatten(0, 1)
        curvature = latent.curvature(log_likelihood, z, direction, self.num_curvature, m)
        state, step = self._warm_up(trajectory, log_likelihood, z, curvature, m)
        samples = []
        for _ in range(math.ceil(num_samples / chains)):
            for _ in range(self.thin):
                state, _ = trajectory(state, step)
            samples.append(prior.decode(state.position.unflatten(1, prior.latent_shape)).unflatten(0, (m, chains)))
        return torch.cat(samples, 1)[:, :num_samples]

    def _warm_up(
        self, trajectory: Callable, log_likelihood: mcmc.Target, z: Tensor, curvature: Tensor, m: int
    ) -> tuple[mcmc.State, Tensor]:
        """States at noise level 1, and the step (n, 1) that the chains of a measurement have adapted to."""
        levels = torch.logspace(0, math.log10(self.anneal), self.num_warmup + 1, dtype=z.dtype, device=z.device).flip(0)
        state = mcmc.start(z, partial(tempered, log_likelihood, levels[0]))
        adaptation = mcmc.DualAveraging.begin(torch.full_like(curvature, self.step))
        for i in range(self.num_warmup + self.num_adapt):
            level = levels[min(i + 1, self.num_warmup)]
            state = mcmc.retempered(state, (levels[min(i, self.num_warmup)] / level) ** 2)
            step = adaptation.log_step.exp() / (1 + curvature / level**2).sqrt()
            state, acceptance = trajectory(state, step, level, self.leniency if i < self.num_warmup else 1.0)
            adaptation = adaptation.updated(latent.per_measurement(acceptance, m, torch.mean), self.acceptance)
        return state, adaptation.kept.exp() / (1 + curvature).sqrt()


def tempered(log_likelihood: mcmc.Target, level: Tensor | float, z: Tensor) -> tuple[Tensor, Tensor]:
    """log p(z | y) up to a constant, (n,), and its gradient, (n, d), with `level` times the likelihood's noise."""
    value, gradient = log_likelihood(z)
    return value / level**2 - z.square().sum(1) / 2, gradient / level**2 - z
