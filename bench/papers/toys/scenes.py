"""The three toys, modelled on figures 1 to 3 of https://arxiv.org/abs/2502.06999: generators, constraints, samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.papers.toys.control import naive_adjoint_matching
from bench.papers.toys.densities import EightGaussians, Gaussian, swiss_roll, two_moons
from bench.papers.toys.generators import Generator, fit_flow, fit_generator
from bench.papers.toys.grid import Grid, relative_entropy
from bench.papers.toys.posterior import (
    ROWS_PER_CALL,
    Case,
    Sampler,
    Samples,
    sampled_case,
    tabulate,
)
from bench.papers.toys.targets import Band, Plane, Tabulated, Tilted


@dataclass(frozen=True)
class Scene:
    """Parameters of all toys: one coordinate of data in the plane is measured with noise, so that a band remains."""

    seed: int = 0
    flow_iterations: int = 2000  # steps of training of each flow
    side: int = 200  # cells along a side of the grids
    num_samples: int = 2000  # draws of each kind
    level: float = 0.5  # the measured coordinate
    sigma_y: float = 0.15  # of the measurement, data units

    name: ClassVar[str]  # names the random streams

    def _rng(self, *axes: str) -> Rng:
        return Rng(("toy", self.name, *axes), [self.seed])


@dataclass(frozen=True)
class SwissRoll(Scene):
    """A flow and a one-step generator of a Swiss roll; the band cuts it into four pieces."""

    generator_iterations: int = 2000  # steps of training of the one-step generator

    name: ClassVar[str] = "swiss_roll"

    def compute(self, sampler: Sampler) -> list[Case]:
        """Return a case for each generator."""
        data, source, problem = swiss_roll(), Gaussian(), Band(0, self.sigma_y)
        modes, window = data.crossings(0, self.level), Grid(2.4, self.side, (0.3, 0.2))
        fits: dict[str, Callable[[], Generator]] = {
            "flow": lambda: fit_flow(source, data, self._rng("fit", "flow"), self.flow_iterations),
            "generator": lambda: fit_generator(
                source, data, self._rng("fit", "generator"), self.generator_iterations
            ),
        }
        cases = []
        for name, fit in fits.items():
            posterior = tabulate(fit(), problem, self.level, Grid(3.6, self.side))
            rng = self._rng("sample", name)
            cases.append(
                sampled_case(name, posterior, window, modes, 1.0, sampler, self.num_samples, rng)
            )
        return cases


@dataclass(frozen=True)
class Marginals(Scene):
    """One posterior of the Swiss roll's flow, sampled in noise space and in data space by the same method.

    In data space the target is p(x) r(x) with the flow's own density, tabulated.
    """

    scale: float = 1.2  # standard deviation of the noise from which the data-space sampler starts

    name: ClassVar[str] = "marginals"

    def compute(self, sampler: Sampler) -> TwoSpaces:
        """Return the same posterior sampled in both spaces."""
        rng, data = self._rng("sample"), swiss_roll()
        flow = fit_flow(Gaussian(), data, self._rng("fit"), self.flow_iterations)
        posterior = tabulate(flow, Band(0, self.sigma_y), self.level, Grid(3.6, self.side))
        window, modes = Grid(2.4, self.side, (0.3, 0.2)), data.crossings(0, self.level)
        case = sampled_case("flow", posterior, window, modes, 1.0, sampler, self.num_samples, rng)
        log_prior = torch.cat([flow.log_prob(part) for part in window.points.split(ROWS_PER_CALL)])
        # log p(x) r(x) by the flow's own density
        log_density = log_prior + posterior.reward(window.points)
        probability, log_z = window.normalised(log_density)
        table = Tabulated(window, log_density.view(self.side, self.side)).floored(60.0)
        direct = sampler(Plane(self.scale), Tilted(table, self.scale), self.num_samples, rng)
        case.data["ods in data space"] = direct.points
        entropies = {
            "noise": relative_entropy(
                posterior.probability, posterior.log_prior, posterior.grid.width
            ),
            "data": relative_entropy(
                probability, Gaussian(self.scale).log_prob(window.points), window.width
            ),
        }
        return TwoSpaces(case, direct, probability, log_z, self.scale, entropies)


@dataclass(frozen=True)
class TwoSpaces:
    """One posterior sampled in noise space, `case`, and in data space, `direct`.

    probability (side, side) and log_z: those of the target in data space, on case.window. scale: standard deviation of
    the noise from which the sampler in data space starts. entropies: in nats, of each target from the Gaussian from
    which its sampler starts.
    """

    case: Case
    direct: Samples
    probability: Tensor
    log_z: float
    scale: float
    entropies: dict[str, float]


@dataclass(frozen=True)
class Moons(Scene):
    """Flows to two moons from one Gaussian and from eight; the band cuts the moons into four pieces."""

    level: float = 0.1  # the measured coordinate
    num_lines: int = 60  # number of paths of the flow in the figure

    name: ClassVar[str] = "moons"

    def compute(self, sampler: Sampler) -> list[MoonsCase]:
        """Return a case for each source."""
        data, problem = two_moons(), Band(1, self.sigma_y)
        modes, window = data.crossings(1, self.level), Grid(2.9, self.side)
        sources = {
            "1 Gaussian": (Gaussian(), 1.0, 3.6),
            "8 Gaussians": (EightGaussians(), 1.6, 3.0),
        }
        cases = []
        for name, (source, scale, half) in sources.items():
            flow = fit_flow(source, data, self._rng("fit", name), self.flow_iterations)
            posterior = tabulate(flow, problem, self.level, Grid(half, self.side))
            rng = self._rng("sample", name)
            case = sampled_case(
                name, posterior, window, modes, scale, sampler, self.num_samples, rng
            )
            case.data["adjoint"] = naive_adjoint_matching(
                flow, posterior.reward, self.num_samples, rng
            )
            cases.append(MoonsCase(case, flow.paths(source.sample(self.num_lines, rng))))
        return cases


@dataclass(frozen=True)
class MoonsCase:
    """A case with "adjoint" among its draws in data space, and paths (n, T + 1, 2) of its flow."""

    case: Case
    paths: Tensor
