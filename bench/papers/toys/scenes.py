"""The three toys, after figures 1 to 3 of https://arxiv.org/abs/2502.06999: what is trained, constrained and drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.papers.toys.control import naive_adjoint_matching
from bench.papers.toys.densities import EightGaussians, Gaussian, swiss_roll, two_moons
from bench.papers.toys.generators import Flow, Generator, fit_flow, fit_generator
from bench.papers.toys.grid import Grid, relative_entropy
from bench.papers.toys.targets import Band, Plane, Tabulated, Tilted

CHUNK = 4096


@dataclass(frozen=True)
class Samples:
    """What a sampler drew: points (n, 2), their paths (n, T + 1, 2), the share of the target in the states at each of
    the T + 1 times, its estimate of log Z, a lower bound, and the effective share of its importance weights.

    seconds: of training, of one thread.
    """

    points: Tensor
    paths: Tensor
    signal: Tensor
    log_z: float
    elbo: float
    ess: float
    seconds: float


class Sampler(Protocol):
    """Draws from N(0, scale^2 I) exp(log likelihood), see bench.papers.toys.targets."""

    def __call__(self, plane: Plane, target: Tilted, num_samples: int, rng: Rng) -> Samples: ...


@dataclass(frozen=True)
class Posterior:
    """p(z | y) proportional to p_0(z) r(f(z)), tabulated on a grid of noise; everything has one value per cell."""

    generator: Flow | Generator
    problem: Band
    y: Tensor  # (1, 1)
    grid: Grid
    x: Tensor  # (side^2, 2): the images of the cells
    log_prior: Tensor
    log_reward: Tensor
    probability: Tensor  # (side, side)
    log_z: float

    def decode(self, z: Tensor) -> Tensor:
        return torch.cat([self.generator.decode(part) for part in z.split(CHUNK)])

    def reward(self, x: Tensor) -> Tensor:
        return self.problem.log_likelihood(x, self.y.expand(len(x), 1))

    def log_density(self, z: Tensor) -> Tensor:
        """log p_0(z) r(f(z)): what a sampler in noise space is told."""
        return self.generator.source.log_prob(z) + self.reward(self.generator.decode(z))


@dataclass(frozen=True)
class Case:
    """One posterior, where its modes are in data space, the samples drawn in noise space, and all draws by name.

    "grid" are draws by the grid, the truth; "floor" as many others, which tell what distance equal laws have.
    """

    name: str
    posterior: Posterior
    window: Grid
    modes: Tensor
    noise: dict[str, Tensor]
    data: dict[str, Tensor]
    samples: Samples


def tabulate(generator: Flow | Generator, problem: Band, level: float, grid: Grid) -> Posterior:
    """The posterior on the grid, its normalising constant by quadrature."""
    z, y = grid.points, torch.full((1, 1), level, dtype=torch.float64)
    x = torch.cat([generator.decode(part) for part in z.split(CHUNK)])
    log_prior, log_reward = generator.source.log_prob(z), problem.log_likelihood(x, y.expand(len(x), 1))
    return Posterior(generator, problem, y, grid, x, log_prior, log_reward, *grid.normalised(log_prior + log_reward))


def case_of(
    name: str, posterior: Posterior, window: Grid, modes: Tensor, scale: float, sampler: Sampler, num: int, rng: Rng
) -> Case:
    """The truth twice, then the sampler in noise space, pushed to data space."""
    noise = {key: posterior.grid.draw(posterior.probability, num, rng) for key in ("grid", "floor")}
    samples = sampler(Plane(scale), Tilted(posterior.log_density, scale), num, rng)
    noise["ods"] = samples.points
    data = {key: posterior.decode(z) for key, z in noise.items()}
    return Case(name, posterior, window, modes, noise, data, samples)


@dataclass(frozen=True)
class SwissRoll:
    """A flow and a one-step generator of a Swiss roll; a band across it leaves four pieces."""

    seed: int = 0
    flow_iterations: int = 2000
    generator_iterations: int = 2000
    side: int = 200
    num_samples: int = 2000
    level: float = 0.5
    sigma_y: float = 0.15

    def compute(self, sampler: Sampler) -> list[Case]:
        data, source, problem = swiss_roll(), Gaussian(), Band(0, self.sigma_y)
        modes, window = data.crossings(0, self.level), Grid(2.4, self.side, (0.3, 0.2))
        fits: dict[str, Callable[[], Flow | Generator]] = {
            "flow": lambda: fit_flow(source, data, self._rng("fit", "flow"), self.flow_iterations),
            "generator": lambda: fit_generator(source, data, self._rng("fit", "generator"), self.generator_iterations),
        }
        cases = []
        for name, fit in fits.items():
            posterior = tabulate(fit(), problem, self.level, Grid(3.6, self.side))
            rng = self._rng("sample", name)
            cases.append(case_of(name, posterior, window, modes, 1.0, sampler, self.num_samples, rng))
        return cases

    def _rng(self, *axes: str) -> Rng:
        return Rng(("toy", "swiss_roll", *axes), [self.seed])


@dataclass(frozen=True)
class Marginals:
    """One posterior of the Swiss roll's flow, sampled in noise space and in data space by the same method.

    In data space the target is p(x) r(x) with the flow's own density, tabulated.
    """

    seed: int = 0
    flow_iterations: int = 2000
    side: int = 200
    num_samples: int = 2000
    level: float = 0.5
    sigma_y: float = 0.15
    scale: float = 1.2  # standard deviation of the noise from which the data-space sampler starts

    def compute(self, sampler: Sampler) -> TwoSpaces:
        rng, data = self._rng("sample"), swiss_roll()
        flow = fit_flow(Gaussian(), data, self._rng("fit"), self.flow_iterations)
        posterior = tabulate(flow, Band(0, self.sigma_y), self.level, Grid(3.6, self.side))
        window = Grid(2.4, self.side, (0.3, 0.2))
        case = case_of("flow", posterior, window, data.crossings(0, self.level), 1.0, sampler, self.num_samples, rng)

        log_prior = torch.cat([flow.log_prob(part) for part in window.points.split(CHUNK)])
        log_density = log_prior + posterior.reward(window.points)
        probability, log_z = window.normalised(log_density)
        table = Tabulated(window, log_density.view(self.side, self.side)).floored(60.0)
        direct = sampler(Plane(self.scale), Tilted(table, self.scale), self.num_samples, rng)
        entropies = {
            "noise": relative_entropy(posterior.probability, posterior.log_prior, posterior.grid.width),
            "data": relative_entropy(probability, Gaussian(self.scale).log_prob(window.points), window.width),
        }
        case.data["ods in data space"] = direct.points
        return TwoSpaces(case, direct, probability, log_z, self.scale, entropies)

    def _rng(self, *axes: str) -> Rng:
        return Rng(("toy", "marginals", *axes), [self.seed])


@dataclass(frozen=True)
class TwoSpaces:
    """`case` in noise space; `direct`, the samples made in data space, whose target has `probability` on case.window;
    relative entropies, in nats, of either target from the Gaussian where its sampler starts."""

    case: Case
    direct: Samples
    probability: Tensor
    log_z: float
    scale: float
    entropies: dict[str, float]


@dataclass(frozen=True)
class Moons:
    """Flows to two moons from one Gaussian and from eight; a band across the moons leaves four pieces."""

    seed: int = 0
    flow_iterations: int = 2000
    side: int = 200
    num_samples: int = 2000
    level: float = 0.1
    sigma_y: float = 0.15
    num_lines: int = 60  # paths of the flow that are drawn

    def compute(self, sampler: Sampler) -> list[MoonsCase]:
        data, problem = two_moons(), Band(1, self.sigma_y)
        modes, window = data.crossings(1, self.level), Grid(2.9, self.side)
        sources = {"1 Gaussian": (Gaussian(), 1.0, 3.6), "8 Gaussians": (EightGaussians(), 1.6, 3.0)}
        found = []
        for name, (source, scale, half) in sources.items():
            flow = fit_flow(source, data, self._rng("fit", name), self.flow_iterations)
            posterior, rng = tabulate(flow, problem, self.level, Grid(half, self.side)), self._rng("sample", name)
            case = case_of(name, posterior, window, modes, scale, sampler, self.num_samples, rng)
            case.data["adjoint"] = naive_adjoint_matching(flow, posterior.reward, self.num_samples, rng)
            found.append(MoonsCase(case, flow.paths(source.sample(self.num_lines, rng))))
        return found

    def _rng(self, *axes: str) -> Rng:
        return Rng(("toy", "moons", *axes), [self.seed])


@dataclass(frozen=True)
class MoonsCase:
    """A case with "adjoint" among its draws in data space, and paths (n, T + 1, 2) of its flow."""

    case: Case
    paths: Tensor
