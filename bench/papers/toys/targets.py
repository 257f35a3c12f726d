"""Problems in the plane, and densities written as a prior and a problem, so that any latent method samples them.

A latent method samples N(z; 0, I) exp(log_likelihood(f(z), y)). With f(z) = scale z (`Plane`) and the log likelihood
log pi(x) - log N(x; 0, scale^2 I) (`Tilted`), that is the density pi itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import Cap, Random
from bench.papers.toys.densities import Gaussian
from bench.papers.toys.grid import Grid


@dataclass(frozen=True)
class Band:
    """The problem y = x[axis] + sigma_y noise, (n, 1), with r(x) = exp(-(y - x[axis])^2 / (2 sigma_y^2))."""

    axis: int
    sigma_y: float
    caps: ClassVar[Cap] = Cap.GRAD | Cap.SIMULATE

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        return (y[:, 0] - x[:, self.axis]).square() / (-2 * self.sigma_y**2)

    def simulate(self, x: Tensor, rng: Random) -> Tensor:
        noise = rng.randn((len(x) // len(rng), 1)).flatten(0, 1)
        return x[:, self.axis, None] + self.sigma_y * noise


@dataclass(frozen=True)
class Plane:
    """The prior N(0, scale^2 I), whose decoder only scales."""

    scale: float
    caps: ClassVar[Cap] = Cap.DECODER | Cap.DENSITY
    shape: ClassVar[tuple[int, ...]] = (2,)
    latent_shape: ClassVar[tuple[int, ...]] = (2,)
    sigma_range: ClassVar[tuple[float, float]] = (0.0, math.inf)
    decode_nfe: ClassVar[int] = 1
    sample_nfe: ClassVar[int] = 1

    def decode(self, z: Tensor) -> Tensor:
        return self.scale * z

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        return self.decode(rng.randn((num_samples, 2)))

    def log_prob(self, x: Tensor) -> Tensor:
        return Gaussian(self.scale).log_prob(x)


@dataclass(frozen=True)
class Tilted:
    """The reward that turns `Plane(scale)` into a density with logarithm `log_density`, (n, 2) -> (n,).

    Measurements y (n, 1) are zeros, and are not used.
    """

    log_density: Callable[[Tensor], Tensor]
    scale: float
    caps: ClassVar[Cap] = Cap.SIMULATE  # without gradients: those of an ODE decoder are expensive

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        return self.log_density(x) - Gaussian(self.scale).log_prob(x)

    def simulate(self, x: Tensor, rng: Random) -> Tensor:
        return x.new_zeros(len(x), 1)


@dataclass(frozen=True)
class Tabulated:
    """A log density, bilinear between the cells of a grid; outside the grid it falls off like a parabola."""

    grid: Grid
    values: Tensor  # (side, side)

    def __call__(self, x: Tensor) -> Tensor:
        place = (x - x.new_tensor(self.grid.centre)) / self.grid.half
        inside = place.clamp(-1, 1)
        values = torch.nn.functional.grid_sample(
            self.values.to(x)[None, None],
            inside[None, None],
            padding_mode="border",
            align_corners=False,
        )
        return values[0, 0, 0] - 100 * (place - inside).square().sum(1)

    def floored(self, drop: float) -> Tabulated:
        """Return the table with values at most `drop` nats below the peak, since interpolation must not meet -inf."""
        return replace(self, values=self.values.clamp_min(self.values.max() - drop))
