"""Langevin dynamics in the noise space of a generator. Purohit et al., Consistency Posterior Sampling, 2024.

https://arxiv.org/abs/2410.02078

Target: p(z | y) proportional to N(z; 0, I) exp(log_likelihood(f(z), y)), x = f(z).

Deviations:
- The prior's drift is -z, the gradient of log N(z; 0, I). The released code divides it by sigma_max^2 = 6400, a nearly
  flat prior; `prior_drift = "released"` does the same.
- The likelihood is annealed during warm-up: its noise falls geometrically from `anneal` times sigma_y to sigma_y.
  `anneal = 1` is the paper's.
- After warm-up steps are Metropolis-adjusted (MALA), with a size adapted to the acceptance rate before the first
  sample; `metropolis = False` is the paper's unadjusted chain.
- Step sizes are divided by 1 + the likelihood's curvature at the start; with `num_curvature = 0` they are the paper's.
- Several chains per measurement; `num_chains = 1` is the paper's. State t of chain c is sample t * num_chains + c.
- States between the samples of a chain are dropped; `thin = 1`, `num_adapt = 0` and `num_warmup = 0` are the paper's.
  So is `repeat_last`: the released loop leaves out its last update, hence its last two images are the same.
- A chain is as long as samples are asked for, where the released one has 10 to 50 states; the start is random, where
  all released chains start from one seed; images are not clipped to [-1, 1] and networks are not in half precision.
  With these settings `step` is the released tau, and depends on sigma_y and the operator, not on the image's size.
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

__all__ = ["LatentLangevin"]

RELEASED_PRIOR_PRECISION = 1 / 80**2


@dataclass(frozen=True)
class LatentLangevin:
    """Chains of z that start from an Adam fit to the measurement; every `thin`-th state after warm-up is a sample.

    Each step of a chain costs one decoded row, forward and backward; a sample is decoded once more.

    Exact when chains have mixed and steps are Metropolis-adjusted (`metropolis = True`). Without the adjustment chains
    converge to another distribution, which is nearer to the posterior the smaller the step is.
    """

    needs: ClassVar[Cap] = Cap.DECODER | Cap.GRAD
    search: ClassVar[Search] = {"step": LogUniform(0.03, 3.0), "anneal": LogUniform(1.0, 30.0)}
    joint: ClassVar[Joint] = "chain"
    kind: ClassVar[Kind] = "latent"

    num_chains: int = 4  # per measurement
    num_adam: int = 10  # steps of Adam towards the measurement, from a random start
    adam_rate: float = 0.1  # learning rate of Adam
    num_curvature: int = 2  # power iterations for the likelihood's curvature; 0 takes it as zero
    num_warmup: int = 60  # unadjusted steps while the likelihood is annealed
    anneal: float = 10.0  # the likelihood's noise at the start, in units of sigma_y
    step: float = 0.3  # size of the unadjusted steps, times 1 + curvature
    num_adapt: int = 20  # adjusted steps while their size adapts
    thin: int = 23  # steps of a chain per sample
    metropolis: bool = True  # whether steps are accepted or rejected (MALA)
    prior_drift: Literal["correct", "released"] = "correct"  # -z, or -z / 6400 as released
    repeat_last: bool = False  # leave out the last update of a chain, as the released loop does

    def __post_init__(self) -> None:
        for name in ("num_chains", "thin", "step", "adam_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number > 0")
        for name in ("num_adam", "num_curvature", "num_warmup", "num_adapt"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number >= 0")
        if self.anneal < 1:
            raise ValueError(f"anneal = {self.anneal}: expected a number >= 1")
        if self.prior_drift not in ("correct", "released"):
            raise ValueError(
                f"prior_drift = {self.prior_drift!r}: expected 'correct' or 'released'"
            )

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        chains = min(self.num_chains, num_samples)
        kept = math.ceil(num_samples / chains)
        power_iterations = self.num_curvature + min(self.num_curvature, 1)
        before = self.num_adam + power_iterations + self.num_warmup + 1 + self.num_adapt
        rows = prior.decode_nfe * chains / num_samples
        if self.repeat_last and num_samples >= 2 * chains:
            kept -= 1
        return NFE((before + kept * (self.thin + 1)) * rows, (before + kept * self.thin) * rows)

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, chains = len(y), min(self.num_chains, num_samples)
        shape, rows = (chains, math.prod(prior.latent_shape)), y.repeat_interleave(chains, 0)
        call, most = partial(latent.log_likelihood, prior, problem), rows_of(prior.shape)
        log_likelihood = partial(value_and_gradient, call, most, rows)
        target = partial(self.log_target, log_likelihood)
        z = self._adam(log_likelihood, rng.randn(shape).flatten(0, 1))
        start = rng.randn(shape).flatten(0, 1)
        curvature = mcmc.curvature(log_likelihood, z, start, self.num_curvature, m)
        state, step = self._warm_up(target, z, curvature, lambda: rng.randn(shape).flatten(0, 1))

        def move(state: mcmc.ChainState) -> tuple[mcmc.ChainState, Tensor]:
            noise, uniform = rng.randn(shape).flatten(0, 1), rng.rand((chains,)).flatten()
            return self._moved(state, target, step, noise, uniform)

        for _ in range(self.num_adapt):
            state, acceptance = move(state)
            acceptance = mcmc.per_measurement(acceptance, m, torch.mean)
            step = mcmc.adapted_step(step, acceptance, rate=0.3)

        def images(state: mcmc.ChainState) -> Tensor:
            z = state.position.unflatten(1, prior.latent_shape)
            return prior.decode(z).unflatten(0, (m, chains))

        repeated = chains if self.repeat_last and num_samples >= 2 * chains else 0
        num_drawn = num_samples - repeated
        x = mcmc.thinned(state, lambda state: move(state)[0], images, num_drawn, self.thin)
        return torch.cat([x, x[:, num_drawn - repeated :]], 1)

    def log_target(
        self, log_likelihood: mcmc.Target, z: Tensor, level: Tensor | float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Return log p(z | y) up to a constant, (n,), and its gradient, (n, d), at `level` times the noise."""
        precision = 1.0 if self.prior_drift == "correct" else RELEASED_PRIOR_PRECISION
        value, gradient = log_likelihood(z)
        log_density = value / level**2 - precision * z.square().sum(1) / 2
        return log_density, gradient / level**2 - precision * z

    def _moved(
        self,
        state: mcmc.ChainState,
        target: mcmc.Target,
        step: Tensor,
        noise: Tensor,
        uniform: Tensor,
    ) -> tuple[mcmc.ChainState, Tensor]:
        """Return the next state and its acceptance (n,), with noise (n, d) and uniform (n,).

        Without Metropolis' test the acceptance is the goal of the adaptation, which leaves the step (n, 1) as it is.
        """
        if self.metropolis:
            return mcmc.mala_step(state, target, step, noise, uniform)
        acceptance = torch.full_like(uniform, mcmc.MALA_ACCEPTANCE)
        return mcmc.langevin_step(state, target, step, noise), acceptance

    def _adam(self, log_likelihood: mcmc.Target, z: Tensor) -> Tensor:
        """Descend from z (n, d) towards the measurement, `num_adam` steps."""
        optimiser = torch.optim.Adam([z], lr=self.adam_rate)
        for _ in range(self.num_adam):
            z.grad = -log_likelihood(z)[1]
            optimiser.step()
        return z

    def _warm_up(
        self, target: Callable, z: Tensor, curvature: Tensor, noise: Callable[[], Tensor]
    ) -> tuple[mcmc.ChainState, Tensor]:
        """Take unadjusted steps while the noise level falls to 1; also return the step size for level 1."""
        levels = mcmc.noise_levels(self.anneal, self.num_warmup, 0, z)
        state = mcmc.start(z, partial(target, level=levels[0]))
        for level, level_next in pairwise(levels):
            step = self.step / (1 + curvature / level**2)
            state = mcmc.tamed_langevin_step(
                state, partial(target, level=level_next), step, noise()
            )
        return state, self.step / (1 + curvature)
