"""A posterior in the plane, tabulated on a grid, with samples of it and draws from the grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.core.types import Random
from bench.papers.toys.generators import Generator
from bench.papers.toys.grid import Grid
from bench.papers.toys.targets import Band, Plane, Tilted

ROWS_PER_CALL = 4096  # rows that a generator decodes at once


@dataclass(frozen=True)
class Samples:
    """Draws of a sampler, with its own estimates.

    points (n, 2); paths (n, T + 1, 2); signal (T + 1,): share of the target in the states at each time. log_z: estimate
    of the log normalising constant; elbo: a lower bound of that; ess: effective share of the importance weights.
    seconds: CPU seconds of training on one thread.
    """

    points: Tensor
    paths: Tensor
    signal: Tensor
    log_z: float
    elbo: float
    ess: float
    seconds: float


class Sampler(Protocol):
    """A function that draws from N(0, scale^2 I) exp(log likelihood); see bench.papers.toys.targets."""

    def __call__(self, plane: Plane, target: Tilted, num_samples: int, rng: Random) -> Samples: ...


@dataclass(frozen=True)
class Posterior:
    """The posterior p(z | y) proportional to p_0(z) r(f(z)), tabulated on a grid of noise, one value per cell.

    y (1, 1); x (side^2, 2): the images of the cells' centres; log_prior and log_reward (side^2,); probability
    (side, side).
    """

    generator: Generator
    problem: Band
    y: Tensor
    grid: Grid
    x: Tensor
    log_prior: Tensor
    log_reward: Tensor
    probability: Tensor
    log_z: float

    def decode(self, z: Tensor) -> Tensor:
        """Return the images (n, 2) of noise (n, 2)."""
        return decode(self.generator, z)

    def reward(self, x: Tensor) -> Tensor:
        """Return log r(x) (n,) of x (n, 2)."""
        return self.problem.log_likelihood(x, self.y.expand(len(x), 1))

    def log_density(self, z: Tensor) -> Tensor:
        """Return log p_0(z) r(f(z)) (n,) of z (n, 2): the target of a sampler in noise space."""
        return self.generator.source.log_prob(z) + self.reward(self.generator.decode(z))


@dataclass(frozen=True)
class Case:
    """One posterior and named sets of draws in noise space and in data space, (n, 2) each.

    The draws "grid" are exact up to the grid; "floor" are as many more, whose distance to "grid" is that of equal
    distributions. modes (k, 2): of the posterior in data space. window: the part of data space that is shown. samples:
    those of "ods".
    """

    name: str
    posterior: Posterior
    window: Grid
    modes: Tensor
    noise: dict[str, Tensor]
    data: dict[str, Tensor]
    samples: Samples


def decode(generator: Generator, z: Tensor) -> Tensor:
    """Return the images (n, 2) of noise (n, 2), decoded at most ROWS_PER_CALL at once."""
    return torch.cat([generator.decode(part) for part in z.split(ROWS_PER_CALL)])


def tabulate(generator: Generator, problem: Band, level: float, grid: Grid) -> Posterior:
    """Return the posterior given y = `level` on the grid, its normalising constant by quadrature."""
    y = torch.full((1, 1), level, dtype=torch.float64)
    x = decode(generator, grid.points)
    log_prior = generator.source.log_prob(grid.points)
    log_reward = problem.log_likelihood(x, y.expand(len(x), 1))
    return Posterior(
        generator,
        problem,
        y,
        grid,
        x,
        log_prior,
        log_reward,
        *grid.normalised(log_prior + log_reward),
    )


def sampled_case(
    name: str,
    posterior: Posterior,
    window: Grid,
    modes: Tensor,
    scale: float,
    sampler: Sampler,
    num: int,
    rng: Random,
) -> Case:
    """Return a case with `num` draws of each kind: twice by the grid, then by the sampler in noise space.

    scale: standard deviation of the noise from which the sampler starts.
    """
    noise = {key: posterior.grid.draw(posterior.probability, num, rng) for key in ("grid", "floor")}
    samples = sampler(Plane(scale), Tilted(posterior.log_density, scale), num, rng)
    noise["ods"] = samples.points
    data = {key: posterior.decode(z) for key, z in noise.items()}
    return Case(name, posterior, window, modes, noise, data, samples)
