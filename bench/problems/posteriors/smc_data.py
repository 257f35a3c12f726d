"""A reference for mixtures under any operator: tempered sequential Monte Carlo over images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import Mixture, Problem, Random
from bench.numerics.tempering import Tempered
from bench.problems.posteriors import particles
from bench.problems.posteriors.instrument import FactorMixture
from bench.problems.posteriors.particles import Particles, Schedule


@dataclass(frozen=True, eq=False)
class TemperedSMC:
    """Gaussian mixture prior, any operator: particles carried from prior to posterior through tempered likelihoods.

    Like `LatentSMC`, but over images, with the density of the mixture as the prior's. Its draws are a reference only
    where two independent runs agree (`bench.stages.reference`).
    """

    prior: Mixture | FactorMixture
    problem: Problem
    num_particles: int = 768  # at least; never fewer than 1.5 times the draws
    num_bank: int = 32  # draws from the prior per particle, shared by all measurements of a run
    num_moves: int = 1
    num_leapfrog: int = 4
    num_final_moves: int = 4
    ess_share: float = 0.6

    kind: ClassVar[str] = "tempered SMC"
    perplexity_of: ClassVar[str | None] = "components"
    offered: ClassVar[bool] = True

    def size(self, num_samples: int) -> int:
        """Return the number of particles for that many draws."""
        return max(self.num_particles, num_samples + num_samples // 2)

    def sample(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        return torch.stack([part.draws(num_samples) for part in self.run(y, num_samples, rng)])

    def run(self, y: Tensor, num_samples: int, rng: Random) -> list[Particles]:
        """Return the particles of each measurement y (m, *y); each has a stream of its own beside the shared draws."""
        n = self.size(num_samples)
        stream = rng.shared("draws from the prior")
        bank = self.prior.sample(self.num_bank * n, stream)[0].flatten(1)
        surveyed = particles.survey(self.problem, self._images, bank, y)
        cloud = particles.begin(self._model, bank, surveyed, y, rng, n)
        schedule = Schedule(
            self.num_moves, self.num_leapfrog, self.num_final_moves, 1, self.ess_share
        )
        clouds = schedule.carry(self._model, cloud)
        return particles.particles_of(clouds, self._images, len(y), self.prior.shape)

    def moments(self, y: Tensor) -> None:
        return None

    def perplexity(self, y: Tensor) -> None:
        return None

    def _images(self, position: Tensor) -> Tensor:
        return position.unflatten(1, self.prior.shape)

    def _model(self, position: Tensor, y: Tensor) -> Tempered:
        """Return the state at positions (m, n, D): log densities and gradients of prior and likelihood."""
        m, n, dim = position.shape
        value, gradient = particles.evaluated(self._log_likelihood, position, y)
        images = self._images(position.flatten(0, 1))
        parts = particles.pieces(m, n, images.device)
        found = [self.prior.log_prob_and_score(images[part]) for part in parts]
        log_prior, score = (torch.cat(values) for values in zip(*found, strict=True))
        return Tempered(position, log_prior.view(m, n), value, score.view(m, n, dim), gradient)

    def _log_likelihood(self, rows: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = self._images(rows).detach().requires_grad_()
            value = self.problem.log_likelihood(leaf, y)
            (gradient,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), gradient.flatten(1)
