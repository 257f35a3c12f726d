"""References for decoder priors: x = f(z) with z ~ N(0, I), whose posterior has neither formula nor enumeration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import Prior, Problem, Random
from bench.numerics import latent
from bench.numerics.tempering import Tempered
from bench.problems.posteriors import particles
from bench.problems.posteriors.particles import Particles, Schedule


@dataclass(frozen=True, eq=False)
class LatentSMC:
    """Particles carried from N(0, I) to p(z | y) through tempered likelihoods; only log_likelihood and decode are used.

    `num_bank` decoded draws of N(0, I) per particle are shared by all measurements of a run: each measurement takes its
    particles from them, at the largest power of the likelihood at which they suffice. Each later power keeps a share
    `ess_share` of the particles effective. The draws are a reference only where independent runs agree (`convergence`
    and `bench.stages.reference`).
    """

    prior: Prior
    problem: Problem
    num_particles: int = 256  # at least; more where the draws need more
    num_bank: int = 256
    num_moves: int = 1
    num_leapfrog: int = 6
    num_final_moves: int = 2
    num_kept: int = 2  # last of the final moves, after each of which the particles are draws
    ess_share: float = 0.6

    kind: ClassVar[str] = "tempered SMC in z"
    perplexity_of: ClassVar[str | None] = None
    offered: ClassVar[bool] = False  # a further run would cost half of the reference itself

    def size(self, num_samples: int) -> int:
        """Return the number of particles for that many draws: each gives one after each of the kept moves."""
        return max(self.num_particles, math.ceil(num_samples / self.num_kept))

    def sample(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        return torch.stack([part.draws(num_samples) for part in self.run(y, num_samples, rng)])

    def moments(self, y: Tensor) -> None:
        return None

    def perplexity(self, y: Tensor) -> None:
        return None

    def run(self, y: Tensor, num_samples: int, rng: Random) -> list[Particles]:
        """Return the particles of each measurement y (m, *y); each has a stream of its own beside the shared draws."""
        n, dim = self.size(num_samples), math.prod(self.prior.latent_shape)
        bank = rng.shared("draws from the prior").randn((self.num_bank * n, dim))[0]
        surveyed = particles.survey(self.problem, self._decoded, bank, y)
        cloud = particles.begin(self._model, bank, surveyed, y, rng, n)
        schedule = Schedule(
            self.num_moves,
            self.num_leapfrog,
            self.num_final_moves,
            self.num_kept,
            self.ess_share,
        )
        clouds = schedule.carry(self._model, cloud)
        return particles.particles_of(clouds, self._decoded, len(y), self.prior.shape)

    def _model(self, z: Tensor, y: Tensor) -> Tempered:
        def log_likelihood(rows: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return latent.log_likelihood(self.prior, self.problem, y, rows)

        value, gradient = particles.evaluated(log_likelihood, z, y)
        return Tempered(z, -z.square().sum(2) / 2, value, -z, gradient)

    def _decoded(self, z: Tensor) -> Tensor:
        """Return the images of z (n, D), some rows at a time."""
        rows = z.unflatten(1, self.prior.latent_shape)
        parts = particles.pieces(1, len(z), z.device)
        return torch.cat([self.prior.decode(rows[part]) for part in parts])
