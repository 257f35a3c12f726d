"""A reference for mixtures under any operator: tempered sequential Monte Carlo over images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import Mixture, Problem, Random
from bench.numerics import mcmc, smc


@dataclass(frozen=True, eq=False)
class TemperedSMC:
    """Gaussian mixture prior, any operator: particles carried from prior to posterior through tempered likelihoods.

    Each temperature keeps `ess_share` of the particles effective, then resamples and moves them by MALA in coordinates
    whitened by their own covariance. Del Moral, Doucet & Jasra 2006, https://doi.org/10.1111/j.1467-9868.2006.00553.x
    A reference only where two independent runs agree (`bench.stages.reference`).
    """

    prior: Mixture
    problem: Problem
    num_particles: int = 1024  # at least; never fewer than twice the draws
    num_moves: int = 6
    num_final_moves: int = 20
    ess_share: float = 0.6

    kind: ClassVar[str] = "tempered SMC"
    perplexity_of: ClassVar[str | None] = "components"
    offered: ClassVar[bool] = True

    def size(self, num_samples: int) -> int:
        """Return the number of particles for that many draws."""
        return max(self.num_particles, 2 * num_samples)

    def sample(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        # one measurement after the other: each has its own number of temperatures, and none may see another's
        return torch.cat([self._run(y[i : i + 1], num_samples, rng.only(i)) for i in range(len(y))])

    def _run(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        n = self.size(num_samples)
        particles = self.prior.sample(n, rng).flatten(2)  # (m, n, D)
        beta = torch.zeros(len(y), dtype=y.dtype, device=y.device)
        step = torch.full_like(beta, 0.1)
        while (beta < 1).any():
            log_likelihood = self._log_likelihood(particles, y)
            beta, previous = smc.next_temperature(log_likelihood, beta, self.ess_share), beta
            weights = ((beta - previous)[:, None] * log_likelihood).softmax(1)
            index = smc.systematic_resample(weights, rng.rand(()))
            particles = particles.gather(1, index[..., None].expand_as(particles))
            particles, step = self._move(particles, y, beta, step, self.num_moves, rng)
        particles, _ = self._move(particles, y, beta, step, self.num_final_moves, rng)
        order = rng.rand((n,)).argsort(1)[:, :num_samples]
        return particles.gather(1, order[..., None].expand(-1, -1, particles.shape[2])).unflatten(
            2, self.prior.shape
        )

    def moments(self, y: Tensor) -> None:
        return None

    def perplexity(self, y: Tensor) -> None:
        return None

    def _move(
        self, particles: Tensor, y: Tensor, beta: Tensor, step: Tensor, num_moves: int, rng: Random
    ) -> tuple[Tensor, Tensor]:
        """Return particles (m, n, D) after MALA at temperature beta (m,), and the adapted steps (m,)."""
        m, n, dim = particles.shape
        centre = particles.mean(1, keepdim=True)
        covariance = (particles - centre).mT @ (particles - centre) / n
        jitter = 1e-9 * torch.eye(dim, dtype=y.dtype, device=y.device)
        root = torch.linalg.cholesky(
            covariance + jitter * covariance.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
        )
        white = torch.linalg.solve_triangular(root, (particles - centre).mT, upper=False).mT

        def target(position: Tensor) -> tuple[Tensor, Tensor]:
            x = centre + position.unflatten(0, (m, n)) @ root.mT
            rows, temperature = y.repeat_interleave(n, 0), beta.repeat_interleave(n)
            log_density, gradient = self._tempered(x.flatten(0, 1), rows, temperature)
            return log_density, (gradient.unflatten(0, (m, n)) @ root).flatten(0, 1)

        state = mcmc.start(white.flatten(0, 1), target)
        for _ in range(num_moves):
            per_row = step.repeat_interleave(n)[:, None]
            noise, uniform = rng.randn((n, dim)).flatten(0, 1), rng.rand((n,)).flatten()
            state, acceptance = mcmc.mala_step(state, target, per_row, noise, uniform)
            step = mcmc.adapted_step(step, acceptance.unflatten(0, (m, n)).mean(1), rate=1.0)
        return centre + state.position.unflatten(0, (m, n)) @ root.mT, step

    def _tempered(self, x: Tensor, y: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        images = x.unflatten(1, self.prior.shape)
        log_prior, score = self.prior.log_prob_and_score(images)
        with torch.enable_grad():
            leaf = images.detach().requires_grad_()
            log_likelihood = self.problem.log_likelihood(leaf, y)
            (gradient,) = torch.autograd.grad(log_likelihood.sum(), leaf)
        return log_prior + beta * log_likelihood.detach(), (
            score.flatten(1) + beta[:, None] * gradient.flatten(1)
        )

    def _log_likelihood(self, particles: Tensor, y: Tensor) -> Tensor:
        rows = particles.flatten(0, 1).unflatten(1, self.prior.shape)
        repeated = y.repeat_interleave(particles.shape[1], 0)
        return self.problem.log_likelihood(rows, repeated).unflatten(0, particles.shape[:2])
