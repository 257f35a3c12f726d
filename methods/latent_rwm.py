"""Random walk Metropolis in the noise space of a generator, without gradients: Crank-Nicolson, or Gaussian steps.

Cotter, Roberts, Stuart & White, MCMC methods for functions, 2013. https://arxiv.org/abs/1202.0709

Target: p(z | y) proportional to N(z; 0, I) exp(log_likelihood(f(z), y)), x = f(z).

Deviations:
- `proposal = "gaussian"` is plain random walk Metropolis, z + scale * noise.
- The scale adapts in warm-up, by the mean acceptance over a measurement's chains (Roberts & Rosenthal 2009).
- The likelihood is annealed during warm-up: its noise falls geometrically from `anneal` times sigma_y to sigma_y.
- State t of chain c is sample t * num_chains + c.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import (
    NFE,
    Cap,
    Choice,
    Joint,
    Kind,
    LogUniform,
    Prior,
    Problem,
    Random,
    Search,
)
from bench.numerics import mcmc

__all__ = ["LatentRWM"]

State = tuple[Tensor, Tensor]  # positions (n, d) and their log likelihoods (n,)
Move = Callable[[State, Tensor, Tensor | float], tuple[State, Tensor]]


@dataclass(frozen=True)
class LatentRWM:
    """Chains of z from draws of N(0, I); every `thin`-th state after warm-up and adaptation is a sample.

    Each step of a chain costs one decoded row; a sample is decoded once more. There are no gradients.

    Exact when chains have mixed, which takes longer the more of the latents the measurement determines.
    """

    needs: ClassVar[Cap] = Cap.DECODER
    search: ClassVar[Search] = {
        "anneal": LogUniform(1.0, 30.0),
        "proposal": Choice(("crank-nicolson", "gaussian")),
    }
    joint: ClassVar[Joint] = "chain"
    kind: ClassVar[Kind] = "latent"

    num_chains: int = 16  # per measurement
    num_warmup: int = 240  # steps while the likelihood is annealed
    anneal: float = 10.0  # the likelihood's noise at the start, in units of sigma_y
    num_adapt: int = 40  # further steps while the scale adapts
    thin: int = 32  # steps of a chain per sample
    # gaussian: z + scale * noise
    proposal: Literal["crank-nicolson", "gaussian"] = "crank-nicolson"
    scale: float = 0.3  # of the proposed steps, before it adapts
    acceptance: float = mcmc.RANDOM_WALK_ACCEPTANCE  # share of steps, aim of adaptation
    rate: float = 0.1  # of the adaptation

    def __post_init__(self) -> None:
        for name in ("num_chains", "thin", "scale", "rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number > 0")
        for name in ("num_warmup", "num_adapt"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number >= 0")
        if self.anneal < 1:
            raise ValueError(f"anneal = {self.anneal}: expected a number >= 1")
        if not 0 < self.acceptance < 1:
            raise ValueError(f"acceptance = {self.acceptance}: expected a number in (0, 1)")
        if self.proposal not in ("crank-nicolson", "gaussian"):
            raise ValueError(
                f"proposal = {self.proposal!r}: expected 'crank-nicolson' or 'gaussian'"
            )

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        chains = min(self.num_chains, num_samples)
        steps = (
            1 + self.num_warmup + self.num_adapt + math.ceil(num_samples / chains) * (self.thin + 1)
        )
        return NFE(steps * prior.decode_nfe * chains / num_samples, 0)

    @torch.no_grad()
    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, chains = len(y), min(self.num_chains, num_samples)
        shape, rows = (chains, math.prod(prior.latent_shape)), y.repeat_interleave(chains, 0)

        def decode(z: Tensor) -> Tensor:
            return prior.decode(z.unflatten(1, prior.latent_shape))

        def move(state: State, scale: Tensor, level: Tensor | float) -> tuple[State, Tensor]:
            z, likelihood = state
            proposal, log_prior_ratio = self.propose(z, scale, rng.randn(shape).flatten(0, 1))
            proposed = problem.log_likelihood(decode(proposal), rows)
            log_ratio = (proposed - likelihood) / level**2 + log_prior_ratio
            chosen, acceptance = mcmc.metropolis(log_ratio, rng.rand((chains,)).flatten())
            likelihood = torch.where(chosen, proposed, likelihood)
            return (mcmc.where_row(chosen, proposal, z), likelihood), acceptance

        state = (z := rng.randn(shape).flatten(0, 1)), problem.log_likelihood(decode(z), rows)
        state, scale = self._warm_up(move, state, y)
        return mcmc.thinned(
            state,
            lambda state: move(state, scale, 1.0)[0],
            lambda state: decode(state[0]).unflatten(0, (m, chains)),
            num_samples,
            self.thin,
        )

    def _warm_up(self, move: Move, state: State, y: Tensor) -> tuple[State, Tensor]:
        """Return states at noise level 1, and the scale (n, 1) that the chains of each y (m, *y) have adapted to."""
        scale = torch.full_like(state[0][:, :1], self.scale)
        for level in mcmc.noise_levels(self.anneal, self.num_warmup, self.num_adapt, y)[1:]:
            state, acceptance = move(state, scale, level)
            acceptance = mcmc.per_measurement(acceptance, len(y), torch.mean)
            scale = mcmc.adapted_step(scale, acceptance, self.rate, self.acceptance)
            scale = scale.clamp_max(1) if self.proposal == "crank-nicolson" else scale
        return state, scale

    def propose(self, z: Tensor, scale: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return new positions (n, d), and the log ratio (n,) by which the prior corrects their acceptance."""
        if self.proposal == "crank-nicolson":
            return mcmc.crank_nicolson(z, scale, noise), torch.zeros_like(z[:, 0])
        proposal = z + scale * noise
        return proposal, (z.square() - proposal.square()).sum(1) / 2
