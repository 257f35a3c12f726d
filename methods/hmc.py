"""Hamiltonian Monte Carlo, in the noise space of a generator or on images.

Title: NeuTra-lizing Bad Geometry in Hamiltonian Monte Carlo Using Neural Transport, Hoffman, Sountsov et al., 2019
URL: https://arxiv.org/abs/1903.03704
For images: Neal, MCMC using Hamiltonian dynamics, 2011, https://arxiv.org/abs/1206.1901

Target with `space = "latent"`: p(z | y) proportional to N(z; 0, I) exp(log_likelihood(f(z), y)), x = f(z); with
`space = "data"`: p(x | y) proportional to p(x) exp(log_likelihood(x, y)), to compare in which space sampling is easier.

Deviations:
- The map f is the generator, and not a flow fitted to the posterior: latents are white under the prior only.
- Data space needs the prior's density, which only priors in closed form have.
- Steps adapt by dual averaging (Hoffman & Gelman 2014, https://arxiv.org/abs/1111.4246) over all chains of a
  measurement; a trajectory has a fixed number of leapfrog steps whose size is jittered, in place of the no-U-turn rule.
- The likelihood is annealed during warm-up: its noise falls geometrically from `anneal` times sigma_y to sigma_y. The
  uniform number of the Metropolis test is multiplied by `leniency` there, so that chains on their way to the posterior
  do not stop at energy errors of a few nats. `anneal = 1` and `leniency = 1` give the plain sampler.
- Chains start from draws of the prior; steps are in units of the largest curvature there, in z of the likelihood, in x
  of the target. State t of chain c is sample t * num_chains + c.
- In data space steps may be longer in directions in which draws of the prior differ more (`num_white`): a mass matrix,
  which leaves the target as it is. Images of thousands of pixels need one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Joint, Kind, LogUniform, Prior, Problem, Random, Search
from bench.numerics import latent, mcmc
from bench.numerics.chunks import rows_of, value_and_gradient
from bench.numerics.whitening import Whitening

__all__ = ["HMC"]

# state, step, level, leniency -> state, acceptance (n,)
Trajectory = Callable[..., tuple[mcmc.ChainState, Tensor]]


@dataclass(frozen=True)
class HMC:
    """Chains from draws of the prior; every `thin`-th state after warm-up and adaptation is a sample.

    A trajectory costs `num_leapfrog` evaluations of the target, forward and backward, for each chain; an evaluation
    decodes in latent space and takes the density in data space. A sample in latent space is decoded once more.

    Exact when chains have mixed: steps are Metropolis-adjusted, so that the law of their states tends to the posterior.
    """

    search: ClassVar[Search] = {"anneal": LogUniform(1.0, 30.0), "step": LogUniform(0.1, 6.0)}
    joint: ClassVar[Joint] = "chain"

    space: Literal["latent", "data"] = "latent"
    num_chains: int = 16  # per measurement
    num_curvature: int = 2  # power iterations for the curvature; 0 takes it as zero
    num_warmup: int = 20  # trajectories while the likelihood is annealed
    anneal: float = 10.0  # the likelihood's noise at the start, in units of sigma_y
    num_adapt: int = 5  # further trajectories while the step adapts
    num_leapfrog: int = 4
    thin: int = 2
    num_white: int = 0  # prior draws for the mass matrix in data space; 0: the identity
    # at the start, over the square root of 1 + curvature: a leapfrog is stable below 2
    step: float = 1.0
    jitter: float = 0.2  # a step is shortened by up to this share
    adapts: bool = True  # whether the step adapts, in warm-up and after it
    acceptance: float = 0.6
    # in warm-up, the acceptance probability below which a trajectory may be refused
    leniency: float = 1e-8

    def __post_init__(self) -> None:
        for name in ("num_chains", "num_leapfrog", "thin", "step"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number > 0")
        for name in ("num_curvature", "num_warmup", "num_adapt", "num_white"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number >= 0")
        if self.num_white == 1:
            raise ValueError("num_white = 1: expected 0, or 2 draws or more")
        if self.space not in ("latent", "data"):
            raise ValueError(f"space = {self.space!r}: expected 'latent' or 'data'")
        if self.anneal < 1 or not 0 <= self.jitter < 1 or not 0 < self.acceptance < 1:
            raise ValueError("expected anneal >= 1, 0 <= jitter < 1 and 0 < acceptance < 1")
        if not 0 < self.leniency <= 1:
            raise ValueError(f"leniency = {self.leniency}: expected a number in (0, 1]")

    @property
    def kind(self) -> Kind:
        return "latent" if self.space == "latent" else "control"

    @property
    def needs(self) -> Cap:
        return Cap.GRAD | (Cap.DECODER if self.space == "latent" else Cap.DENSITY)

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        chains, in_z = min(self.num_chains, num_samples), self.space == "latent"
        kept, trajectories = math.ceil(num_samples / chains), self.num_warmup + self.num_adapt
        # power iterations and the state at the start
        first = self.num_curvature + min(self.num_curvature, 1) + 1
        warm_up = trajectories * (self.num_leapfrog + (0 if in_z else 1))
        backward = first + warm_up + kept * self.thin * self.num_leapfrog
        share, cost = chains / num_samples, prior.decode_nfe if in_z else 1
        drawn = prior.sample_nfe * (1 + self.num_white / chains)
        forward = (backward + kept) * cost if in_z else backward + drawn
        return NFE(forward * share, backward * cost * share)

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, chains = len(y), min(self.num_chains, num_samples)
        space = self._space(prior, problem, y.repeat_interleave(chains, 0), rng)
        position = space.start(chains, rng)
        shape = (chains, position.shape[1])

        def trajectory(
            state: mcmc.ChainState, step: Tensor, level: Tensor | float = 1.0, leniency: float = 1.0
        ) -> tuple[mcmc.ChainState, Tensor]:
            momentum = rng.randn(shape).flatten(0, 1)
            shorter = rng.rand((chains,)).flatten()[:, None]
            uniform = leniency * rng.rand((chains,)).flatten()
            target, step = partial(space.target, level=level), step * (1 - self.jitter * shorter)
            return mcmc.hmc_step(state, target, step, self.num_leapfrog, momentum, uniform)

        noise = rng.randn(shape).flatten(0, 1)
        curvature = mcmc.curvature(space.curved, position, noise, self.num_curvature, m)
        state, step = self._warm_up(trajectory, space, position, curvature, m)

        def images(state: mcmc.ChainState) -> Tensor:
            return space.images(state.position).unflatten(0, (m, chains))

        return mcmc.thinned(state, lambda s: trajectory(s, step)[0], images, num_samples, self.thin)

    def _space(
        self, prior: Prior, problem: Problem, y: Tensor, rng: Random
    ) -> InLatents | InImages:
        """Return the target, y (n, *y) one row per chain; each measurement's mass matrix has prior draws of its own."""
        if self.space == "latent":
            return InLatents(prior, problem, y)
        draws = prior.sample(self.num_white, rng).flatten(2) if self.num_white else None
        return InImages(prior, problem, y, None if draws is None else Whitening.of(draws))

    def _warm_up(
        self,
        trajectory: Trajectory,
        space: InLatents | InImages,
        position: Tensor,
        curvature: Tensor,
        m: int,
    ) -> tuple[mcmc.ChainState, Tensor]:
        """Return states at noise level 1, and the step (n, 1) that the chains of a measurement have adapted to."""
        levels = mcmc.noise_levels(self.anneal, self.num_warmup, self.num_adapt, position)
        state = mcmc.start(position, partial(space.target, level=levels[0]))
        adaptation = mcmc.DualAveraging.begin(torch.full_like(curvature, self.step))
        for i, (before, level) in enumerate(pairwise(levels)):
            state = space.at_level(state, before, level)
            step = adaptation.log_step.exp() / space.scale(curvature, level)
            state, acceptance = trajectory(
                state, step, level, self.leniency if i < self.num_warmup else 1.0
            )
            if self.adapts:
                adaptation = adaptation.updated(
                    mcmc.per_measurement(acceptance, m, torch.mean), self.acceptance
                )
        return state, adaptation.kept.exp() / space.scale(curvature, 1.0)


@dataclass(frozen=True, eq=False)
class InLatents:
    """The posterior over flat latents (n, d), one row per chain; y (n, *y)."""

    prior: Prior
    problem: Problem
    y: Tensor

    def start(self, num_chains: int, rng: Random) -> Tensor:
        return rng.randn((num_chains, math.prod(self.prior.latent_shape))).flatten(0, 1)

    def curved(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log likelihood (n,) and its gradient (n, d): the rest of the target has curvature 1."""
        call = partial(latent.log_likelihood, self.prior, self.problem)
        return value_and_gradient(call, rows_of(self.prior.shape), self.y, z)

    def target(self, z: Tensor, level: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
        """Return log p(z | y) up to a constant, (n,), and its gradient, (n, d), at `level` times the noise."""
        value, gradient = self.curved(z)
        return value / level**2 - z.square().sum(1) / 2, gradient / level**2 - z

    def at_level(self, state: mcmc.ChainState, before: Tensor, level: Tensor) -> mcmc.ChainState:
        """Return the state at another noise level, without an evaluation."""
        return mcmc.retempered(state, (before / level) ** 2)

    def scale(self, curvature: Tensor, level: Tensor | float) -> Tensor:
        """Return the square root of the target's largest curvature, (n, 1), at that noise level."""
        return (1 + curvature / level**2).sqrt()

    def images(self, z: Tensor) -> Tensor:
        return self.prior.decode(z.unflatten(1, self.prior.latent_shape))


@dataclass(frozen=True, eq=False)
class InImages:
    """The posterior over flat images (n, d), or their whitened coordinates, one row per chain; y (n, *y)."""

    prior: Prior
    problem: Problem
    y: Tensor
    white: Whitening | None = None

    def start(self, num_chains: int, rng: Random) -> Tensor:
        x = self.prior.sample(num_chains, rng).flatten(2).flatten(0, 1)
        return x if self.white is None else self.white.coordinates(x)

    def curved(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.target(x)

    def target(self, x: Tensor, level: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
        """Return log p(x | y) up to a constant, (n,), and its gradient, (n, d), at `level` times the noise."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            image = self.images(x)
            value = (
                self.prior.log_prob(image) + self.problem.log_likelihood(image, self.y) / level**2
            )
            (gradient,) = torch.autograd.grad(value.sum(), x)
        return value.detach(), gradient

    def at_level(self, state: mcmc.ChainState, before: Tensor, level: Tensor) -> mcmc.ChainState:
        """Return the state at another noise level, by one evaluation: it does not store prior and likelihood apart."""
        return mcmc.start(state.position, partial(self.target, level=level))

    def scale(self, curvature: Tensor, level: Tensor | float) -> Tensor:
        """Return the square root of 1 + the target's curvature, (n, 1), measured at the prior's draws."""
        return (1 + curvature).sqrt()

    def images(self, x: Tensor) -> Tensor:
        if self.white is not None:
            x = self.white.images(x)
        return x.unflatten(1, self.prior.shape)
