"""A Gaussian prior over 4 x 4 images of one or more channels and a masked linear problem, exact in every capability."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import Cap, Random
from bench.numerics.spectrum import AxisSpectrum

SIDE = 4


@dataclass(frozen=True)
class ToyPrior:
    """The prior N(mu, C) with standard deviation 0.5; correlations fall to 1 / e over a distance of 2 pixels.

    The covariance between two channels is half of that within one.
    """

    num_channels: int = 1
    dtype: torch.dtype = torch.float64  # of its tensors and of its arguments

    caps: ClassVar[Cap] = Cap.DENOISER | Cap.DECODER | Cap.DENSITY
    sigma_range: ClassVar[tuple[float, float]] = (0.002, 200.0)
    decode_nfe: ClassVar[int] = 1
    sample_nfe: ClassVar[int] = 0  # draws are made by a matrix

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.num_channels, SIDE, SIDE)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.shape

    @cached_property
    def mean(self) -> Tensor:
        size = self.num_channels * SIDE * SIDE
        return torch.linspace(-0.5, 0.5, size, dtype=torch.float64).to(self.dtype)

    @cached_property
    def covariance(self) -> Tensor:
        pixels = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE)).double()
        channels = (
            torch.ones(self.num_channels, self.num_channels) + torch.eye(self.num_channels)
        ).double() / 2
        covariance = torch.kron(channels, 0.25 * torch.exp(-torch.cdist(pixels, pixels) / 2))
        return covariance.to(self.dtype)

    @cached_property
    def _spectrum(self) -> tuple[Tensor, Tensor]:
        return torch.linalg.eigh(self.covariance)

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        z = rng.randn((num_samples, *self.latent_shape))
        return self.decode(z.flatten(0, 1)).view_as(z)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return mu + C (C + sigma^2 I)^-1 (x_t - mu)."""
        self._refuse_dtype(x_t)
        values, vectors = self._spectrum
        shrink = values / (values + torch.as_tensor(sigma, dtype=x_t.dtype).square().view(-1, 1))
        return (self.mean + ((x_t.flatten(1) - self.mean) @ vectors * shrink) @ vectors.T).view_as(
            x_t
        )

    def decode(self, z: Tensor) -> Tensor:
        """Return mu + C^(1/2) z."""
        self._refuse_dtype(z)
        values, vectors = self._spectrum
        return (self.mean + (z.flatten(1) @ vectors * values.sqrt()) @ vectors.T).view_as(z)

    def log_prob(self, x: Tensor) -> Tensor:
        self._refuse_dtype(x)
        values, vectors = self._spectrum
        white = (x.flatten(1) - self.mean) @ vectors / values.sqrt()
        return -0.5 * (white.square() + values.log() + math.log(2 * math.pi)).sum(1)

    def _refuse_dtype(self, x: Tensor) -> None:
        """Raise ValueError for another dtype than the prior's, as products with a prior's matrices do."""
        if x.dtype != self.dtype:
            raise ValueError(f"x is {x.dtype}, the prior and y are {self.dtype}; use y.dtype")


class RowPairs:
    """The average of vertical pairs of pixels, (n, c, 4, 4) -> (n, c, 2, 4), zero where the mask in y is."""

    linear: ClassVar[bool] = True

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        pairs = x.unflatten(2, (SIDE // 2, 2)).mean(3)
        return pairs if y is None else torch.where(measured_entries(y), pairs, 0.0)

    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        return (v if y is None else torch.where(measured_entries(y), v, 0.0)).repeat_interleave(
            2, dim=2
        ) / 2

    def spectrum(self, y: Tensor, x_shape: tuple[int, ...]) -> AxisSpectrum:
        seen = measured_entries(y).to(y)
        pairs = torch.eye(SIDE // 2).to(y)
        sums, differences = (
            torch.kron(pairs, torch.tensor([[1.0], [sign]]).to(y)) / math.sqrt(2)
            for sign in (1, -1)
        )
        values = torch.cat([seen / math.sqrt(2), torch.zeros_like(seen)], 2)
        return AxisSpectrum(values, (None, torch.cat([sums, differences], 1), None))


@dataclass(frozen=True)
class ToyProblem:
    """The problem y = mask * (A x + noise); y is (n, 2 c, 2, 4), c channels with values and c with the mask."""

    prior: ToyPrior
    sigma_y: float = 0.1
    alternating: bool = False  # every second measurement lacks the first two values of its last row, not the last two
    caps: ClassVar[Cap] = (
        Cap.GRAD | Cap.RESIDUAL | Cap.LINEAR | Cap.SIMULATE | Cap.EXACT | Cap.SPECTRUM
    )
    operator: ClassVar[RowPairs] = RowPairs()

    def residual(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.where(measured_entries(y), y.chunk(2, 1)[0], 0.0) - self.operator(x, y)

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        return -self.residual(x, y).square().flatten(1).sum(1) / (2 * self.sigma_y**2)

    def simulate(self, x: Tensor, rng: Random) -> Tensor:
        """Return measurements (n, *y) of x (n, *x); of each channel's eight values two in the last row are missing."""
        mask = torch.ones(len(x), self.prior.num_channels, SIDE // 2, SIDE, dtype=x.dtype)
        mask[:, :, -1, -2:] = 0
        if self.alternating:
            mask[1::2] = mask[1::2].flip(-1)
        clean = self.operator(x, torch.cat([mask, mask], 1))
        noise = rng.randn((len(x) // len(rng), *clean.shape[1:])).flatten(0, 1)
        return torch.cat([mask * (clean + self.sigma_y * noise), mask], 1)

    def posterior(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean (m, D) and covariance (m, D, D) of the Gaussian posterior, D = 16 c."""
        pixels = torch.eye(len(self.prior.mean), dtype=y.dtype).view(-1, *self.prior.shape)
        rows = [
            self.operator(pixels, y_i.expand(len(pixels), *y_i.shape)).flatten(1).T for y_i in y
        ]
        matrix = torch.stack(rows)  # (m, D / 2, D)
        covariance = torch.linalg.inv(
            self.prior.covariance.inverse() + matrix.mT @ matrix / self.sigma_y**2
        )
        residual = self.residual(
            self.prior.mean.view(self.prior.shape).expand(len(y), *self.prior.shape), y
        ).flatten(1)
        shift = covariance @ matrix.mT @ residual[:, :, None] / self.sigma_y**2
        return self.prior.mean + shift[:, :, 0], covariance

    def sample_posterior(self, y: Tensor, num_samples: int, rng: Random) -> Tensor:
        mean, covariance = self.posterior(y)
        noise = rng.per_sample.randn(self.prior.shape)
        return (mean[:, None] + noise.flatten(2) @ torch.linalg.cholesky(covariance).mT).view_as(
            noise
        )


def measured_entries(y: Tensor) -> Tensor:
    """Return the mask of y (n, 2 c, 2, 4), (n, c, 2, 4) bool."""
    return y.chunk(2, 1)[1] > 0.5
