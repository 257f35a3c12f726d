"""Wiener filter: the linear estimate with the smallest mean square error, for images with a power-law spectrum.

Wiener, Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949.
Spectrum of natural images: Field, JOSA A 1987, https://doi.org/10.1364/JOSAA.4.002379

Returns mean + C A^T (A C A^T + sigma_y^2 I)^-1 (y - A mean). C is assumed, and not taken from the prior: cosines
(DCT-II) are its eigenvectors, with variance 1 / (1 + (f / corner)^2)^(decay / 2) at f half-waves per side, scaled to
the given standard deviation of a pixel on average. Channels have one correlation with each other.

Deviations: cosines in place of Fourier modes, whose images would be periodic; a corner that keeps the variance finite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import (
    NFE,
    Cap,
    Joint,
    Kind,
    LogUniform,
    Prior,
    Problem,
    Random,
    Search,
    Uniform,
)
from bench.numerics.conditioning import conjugate_gradients
from bench.numerics.spectrum import along_axes

__all__ = ["Wiener"]


@dataclass(frozen=True)
class Wiener:
    """A point estimate: the posterior mean under a Gaussian prior with a power-law spectrum, not a generative model.

    A measurement costs at most `num_iterations` products with A and with its adjoint, and no row through the prior's
    network.

    Exact when images are Gaussian with that mean and covariance; the estimate is then the posterior's mean.
    """

    needs: ClassVar[Cap] = Cap.LINEAR | Cap.RESIDUAL
    search: ClassVar[Search] = {
        "std": LogUniform(0.1, 2.0),
        "decay": Uniform(0.5, 4.0),
        "mean": Uniform(-1.0, 0.5),
    }
    joint: ClassVar[Joint] = "point"
    kind: ClassVar[Kind] = "baseline"

    mean: float = 0.0  # of every pixel, data units
    std: float = 0.5  # of a pixel, on average over the image
    decay: float = 2.0  # of the power with frequency
    corner: float = 1.0  # half-waves per side below which the power is level
    channel_correlation: float = 0.9  # of the same pixel in two channels
    num_iterations: int = 200  # of conjugate gradients, at most

    def __post_init__(self) -> None:
        for name in ("std", "corner", "num_iterations"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number > 0")
        if self.decay < 0:
            raise ValueError(f"decay = {self.decay}: expected a number >= 0")
        if not 0 <= self.channel_correlation < 1:
            words = "expected a number in [0, 1)"
            raise ValueError(f"channel_correlation = {self.channel_correlation}: {words}")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(0, 0)

    @torch.no_grad()
    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        operator, covariance = problem.operator, Covariance(self, prior.shape, y)
        mean = y.new_full((len(y), *prior.shape), self.mean)

        def of_measurements(v: Tensor) -> Tensor:
            noise = problem.sigma_y**2 * v
            return operator(covariance(operator.adjoint(v, y)), y) + noise

        residual = problem.residual(mean, y)
        solved = conjugate_gradients(of_measurements, residual, self.num_iterations)
        x = mean + covariance(operator.adjoint(solved, y))
        return x[:, None].expand(-1, num_samples, *prior.shape)


class Covariance:
    """C of `method` for images of a shape (c, h, w), applied to images (n, c, h, w) in the dtype of `like`."""

    def __init__(self, method: Wiener, shape: tuple[int, ...], like: Tensor) -> None:
        channels, *sides = shape
        rows, columns = (torch.arange(side, dtype=torch.float64) for side in sides)
        squares = (rows.square()[:, None] + columns.square()) / method.corner**2
        power = (1 + squares) ** (-method.decay / 2)
        self.power = (method.std**2 / power.mean() * power).to(like)
        rho = method.channel_correlation
        mixed = torch.full((channels, channels), rho) + (1 - rho) * torch.eye(channels)
        self.axes = (None, *(cosines(side).to(like) for side in sides))
        self.channels = mixed.to(like)

    def __call__(self, x: Tensor) -> Tensor:
        waves = along_axes([None if axis is None else axis.mT for axis in self.axes], x)
        return along_axes((self.channels, *self.axes[1:]), self.power * waves)


def cosines(side: int) -> Tensor:
    """Return the orthonormal cosines of a side, one in each column, (side, side) in float64."""
    places, waves = torch.arange(side, dtype=torch.float64) + 0.5, torch.arange(side)
    matrix = torch.cos(math.pi / side * places[:, None] * waves)
    return matrix / matrix.norm(dim=0)
