"""References for decoder priors: x = f(z) with z ~ N(0, I), whose posterior has neither formula nor enumeration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import Prior, Problem, Random
from bench.numerics import diagnostics as chains
from bench.numerics import latent, mcmc, smc

MAX_TEMPERATURES = 200
NUM_DIRECTIONS = 8  # principal ones of the draws, along which convergence is judged
RESOLUTION = 1e-4  # data units: what differs by less is a tie
SHORTEST = 0.1  # of the jittered steps, over the adapted one


@dataclass(frozen=True)
class Particles:
    """One run: n particles after each of its last T moves, images (n, T, *x) and log likelihoods (n, T), shuffled.

    ancestor (n,): which of the n draws from the prior a particle descends from.
    """

    x: Tensor
    log_likelihood: Tensor
    ancestor: Tensor

    def draws(self, num_samples: int) -> Tensor:
        """Return (num_samples, *x): all particles after the last move, then after the one before it, and so on."""
        return self.x.transpose(0, 1).flip(0).flatten(0, 1)[:num_samples]


@dataclass(frozen=True, eq=False)
class LatentSMC:
    """Particles carried from N(0, I) to p(z | y) through tempered likelihoods; only log_likelihood and decode are used.

    Each temperature keeps `ess_share` of the particles effective, then resamples and moves them by Hamiltonian Monte
    Carlo in coordinates whitened by their own covariance. A reference only where independent runs agree (`convergence`
    and `bench.stages.reference`). Buchholz, Chopin & Jacob 2021, https://arxiv.org/abs/1808.07730
    """

    prior: Prior
    problem: Problem
    num_particles: int = 256  # at least; never fewer than what the draws need
    num_moves: int = 1
    num_leapfrog: int = 6
    num_final_moves: int = 4
    num_kept: int = 2  # of the final moves, after which particles are draws
    ess_share: float = 0.6

    kind: ClassVar[str] = "tempered SMC in z"
    perplexity_of: ClassVar[str | None] = None
    offered: ClassVar[bool] = False  # a further run would cost half of the reference itself

    def size(self, num_samples: int) -> int:
        """Return the number of particles for that many draws: each gives one after each of the kept moves."""
        return max(self.num_particles, math.ceil(num_samples / self.num_kept))

    def sample(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        runs = [self.run(y[i : i + 1], num_samples, rng.only(i)) for i in range(len(y))]
        return torch.stack([particles.draws(num_samples) for particles in runs])

    def moments(self, y: Tensor) -> None:
        return None

    def perplexity(self, y: Tensor) -> None:
        return None

    def run(self, y: Tensor, num_samples: int, rng: Random) -> Particles:
        """Run all temperatures for one measurement y (1, *y), with one stream of randomness."""
        n, dim = self.size(num_samples), math.prod(self.prior.latent_shape)
        target = partial(latent.log_posterior, self.prior, self.problem, y.expand(n, *y.shape[1:]))
        state = mcmc.start(rng.randn((n, dim))[0], target)
        ancestor, step = torch.arange(n, device=y.device), torch.as_tensor(0.3).to(y)
        beta, temperatures = torch.zeros_like(step), 0
        while beta < 1:
            likelihood = _log_likelihood(state)
            if temperatures == MAX_TEMPERATURES or not likelihood.isfinite().any():
                return self._nothing(y, n)
            previous = beta
            beta = smc.next_temperature(likelihood[None], beta[None], self.ess_share)[0]
            weights = ((beta - previous) * likelihood).softmax(0)
            index = smc.systematic_resample(weights[None], rng.rand(()))[0]
            state, ancestor = mcmc.ChainState(*(part[index] for part in state)), ancestor[index]
            states, step = self._moved(state, target, beta, step, self.num_moves, rng)
            state, temperatures = states[-1], temperatures + 1
        states, _ = self._moved(state, target, beta, step, self.num_final_moves, rng)
        order = rng.rand((n,)).flatten().argsort()
        return self._particles(states[-self.num_kept :], ancestor, order)

    def _particles(
        self, states: list[mcmc.ChainState], ancestor: Tensor, order: Tensor
    ) -> Particles:
        """Return the particles of T states, with their images and ancestors (n,), in an order (n,)."""
        states = [mcmc.ChainState(*(part[order] for part in state)) for state in states]
        x = [
            self.prior.decode(state.position.unflatten(1, self.prior.latent_shape))
            for state in states
        ]
        log_likelihood = torch.stack([_log_likelihood(state) for state in states], 1)
        return Particles(torch.stack(x, 1), log_likelihood, ancestor[order])

    def _nothing(self, y: Tensor, n: int) -> Particles:
        """Return NaN, which no comparison admits: the particles have not reached the posterior."""
        return Particles(
            y.new_full((n, self.num_kept, *self.prior.shape), torch.nan),
            y.new_full((n, self.num_kept), torch.nan),
            torch.zeros(n, dtype=torch.long, device=y.device),
        )

    def _moved(
        self,
        state: mcmc.ChainState,
        target: mcmc.Target,
        beta: Tensor,
        step: Tensor,
        num_moves: int,
        rng: Random,
    ) -> tuple[list[mcmc.ChainState], Tensor]:
        """Return the particles after each of the moves at temperature beta (), and the adapted step ().

        Steps are jittered down to a tenth: a particle in a narrow mode that refused every move would leave nothing but
        copies of itself.
        """
        n, dim = state.position.shape
        root, moved = _root_of_covariance(state.position), []

        def tempered(z: Tensor) -> tuple[Tensor, Tensor]:
            _, log_density, gradient = mcmc.retempered(mcmc.start(z, target), beta)
            return log_density, gradient

        state = mcmc.retempered(state, beta)
        for _ in range(num_moves):
            jitter = 1 - (1 - SHORTEST) * rng.rand((n, 1))[0].square()
            momentum, uniform = rng.randn((n, dim))[0], rng.rand((n,))[0]
            state, acceptance = mcmc.hmc_step(
                state, tempered, step * jitter, self.num_leapfrog, momentum, uniform, root
            )
            step = mcmc.adapted_step(step, acceptance.mean(), rate=1.0, goal=mcmc.HMC_ACCEPTANCE)
            moved.append(mcmc.retempered(state, 1 / beta))
        return moved, step


def convergence(a: Particles, b: Particles) -> dict[str, float]:
    """Return the largest R-hat between two runs and the smallest effective sample size of both.

    Both over the log likelihood and the images along their leading principal directions, as normal scores of ranks:
    of x, which is compared, and not of z, where a decoder may have symmetries.
    """
    x = torch.stack([a.x, b.x]).flatten(3).nan_to_num(0, 0, 0)  # (2, n, T, D)
    likelihood = torch.stack([a.log_likelihood, b.log_likelihood]).nan_to_num()
    centred = x - x.flatten(0, 2).mean(0)
    directions = torch.linalg.eigh(centred.flatten(0, 2).T @ centred.flatten(0, 2)).eigenvectors[
        :, -NUM_DIRECTIONS:
    ]
    projections = ((centred @ directions) / RESOLUTION).round().movedim(-1, 0)
    values = torch.cat([likelihood[None], projections])  # (F, 2, n, T)
    scores = chains.rank_normalise(values.flatten(1, 2)).view_as(values)
    sizes = [
        chains.clustered_effective_sample_size(scores[:, k], particles.ancestor)
        for k, particles in enumerate((a, b))
    ]
    return {
        "rhat": chains.nested_rhat(scores).max().item(),
        "ess": (sizes[0] + sizes[1]).min().item(),
    }


def _log_likelihood(state: mcmc.ChainState) -> Tensor:
    """Return log p(y | x) of each particle, (n,); what is not a number counts as impossible."""
    return (state.log_density + state.position.square().sum(1) / 2).nan_to_num(
        nan=-math.inf, neginf=-math.inf
    )


def _root_of_covariance(z: Tensor) -> Tensor:
    """Return the lower triangular R with R R^T = the covariance of z (n, d), a little of the identity added."""
    covariance = z.T.cov().view(z.shape[1], z.shape[1])
    return torch.linalg.cholesky(
        covariance + (1e-6 * covariance.trace() + 1e-12) * torch.eye(len(covariance)).to(z)
    )
