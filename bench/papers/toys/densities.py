"""Distributions of toy data and toy noise: curves in the plane, one Gaussian, eight Gaussians."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.core.types import Random


class Source(Protocol):
    """The distribution p_0 of a generator's noise."""

    def log_prob(self, z: Tensor) -> Tensor: ...  # (n, 2) -> (n,)
    def sample(self, num_samples: int, rng: Random) -> Tensor: ...  # (num_samples, 2)


@dataclass(frozen=True)
class Gaussian:
    """N(0, std^2 I) in the plane."""

    std: float = 1.0

    def log_prob(self, z: Tensor) -> Tensor:
        return -z.square().sum(1) / (2 * self.std**2) - math.log(2 * math.pi * self.std**2)

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        return self.std * rng.randn((num_samples, 2))[0]


@dataclass(frozen=True)
class EightGaussians:
    """Equal Gaussians on a circle."""

    radius: float = 2.0
    std: float = 0.25

    @property
    def means(self) -> Tensor:
        angles = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
        return self.radius * torch.stack([angles.cos(), angles.sin()], 1)

    def log_prob(self, z: Tensor) -> Tensor:
        offsets = (z[:, None] - self.means.to(z)).flatten(0, 1)
        return Gaussian(self.std).log_prob(offsets).unflatten(0, (-1, 8)).logsumexp(1) - math.log(8)

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        which = rng.randint(8, (num_samples,))[0]
        noise = rng.randn((num_samples, 2))[0]
        return self.means.to(noise)[which] + self.std * noise


@dataclass(frozen=True)
class Data:
    """Points on a curve u in [0, 1] -> (n, 2), with u uniform, plus Gaussian noise of standard deviation `std`."""

    curve: Callable[[Tensor], Tensor]
    std: float

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        points = self.curve(rng.rand((num_samples,))[0])
        return points + self.std * rng.randn((num_samples, 2))[0]

    def crossings(self, axis: int, level: float) -> Tensor:
        """Return the points (k, 2) where the curve crosses x[axis] = level: modes of a posterior given x[axis]."""
        points = self.curve(torch.linspace(0, 1, 20001, dtype=torch.float64))
        above = points[:, axis] > level
        steps = (points[1:] - points[:-1]).norm(dim=1)
        # a jump between two arcs is not a crossing
        return points[1:][(above[1:] != above[:-1]) & (steps < 10 * steps.median())]


def swiss_roll() -> Data:
    """Return an Archimedean spiral of one and a half turns, about 2 units across."""

    def curve(u: Tensor) -> Tensor:
        angle = 1.5 * math.pi * (1 + 2 * u)
        return angle[:, None] / 7 * torch.stack([angle.cos(), angle.sin()], 1)

    return Data(curve, std=0.06)


def two_moons() -> Data:
    """Return two interleaved half circles of radius 1.5, centred at the origin."""

    def curve(u: Tensor) -> Tensor:
        angle, second = math.pi * (2 * u % 1), u >= 0.5
        x = torch.where(second, 1 - angle.cos(), angle.cos()) - 0.5
        y = torch.where(second, 0.5 - angle.sin(), angle.sin()) - 0.25
        return 1.5 * torch.stack([x, y], 1)

    return Data(curve, std=0.1)
