"""A Gaussian prior with a linear measurement, all moments in closed form, and the exact law of an affine sampler."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.problems import make_problem
from bench.problems.inverse_problem import InverseProblem
from bench.runtime.metering import counted

SHAPE = (1, 4, 4)
OPERATORS: dict[
    str, dict
] = {  # orthogonal rows, a mask, blocks, a spectrum of many values, and none
    "denoise": {},
    "inpaint-box": {"box": 2},
    "average-pool": {"factor": 2},
    "blur": {"kernel_size": 3, "std": 1.0},
    "motion-blur": {"kernel_size": 3},
}


@dataclass(frozen=True, eq=False)
class GaussianPrior:
    """N(mean, covariance) over images; mean (D,), covariance (D, D), float64."""

    mean: Tensor
    covariance: Tensor
    shape: tuple[int, ...] = SHAPE
    sigma_range: tuple[float, float] = (0.0, math.inf)

    caps: ClassVar[Cap] = Cap.DENOISER | Cap.DECODER | Cap.DENSITY
    decode_nfe: ClassVar[int] = 1
    sample_nfe: ClassVar[int] = 0

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.shape

    def sample(self, num_samples: int, rng: Any) -> Tensor:
        z = rng.randn((num_samples, *self.shape))
        return self.decode(z.flatten(0, 1)).view_as(z)

    def decode(self, z: Tensor) -> Tensor:
        root = torch.linalg.cholesky(self.covariance).mT
        return (self.mean + z.flatten(1) @ root).view_as(z)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x_t]; sigma ()."""
        noisy = self.covariance + sigma.square() * torch.eye(len(self.mean), dtype=x_t.dtype)
        pull = torch.linalg.solve(noisy, self.covariance)
        return (self.mean + (x_t.flatten(1) - self.mean) @ pull).view_as(x_t)

    def log_prob(self, x: Tensor) -> Tensor:
        law = torch.distributions.MultivariateNormal(self.mean, self.covariance)
        return law.log_prob(x.flatten(1))


def isotropic(prior_std: float, shape: tuple[int, ...] = SHAPE) -> GaussianPrior:
    """Return N(0, prior_std^2 I)."""
    dim = math.prod(shape)
    covariance = prior_std**2 * torch.eye(dim, dtype=torch.float64)
    return GaussianPrior(torch.zeros(dim, dtype=torch.float64), covariance, shape)


def correlated(shape: tuple[int, ...] = SHAPE, prior_std: float = 0.5) -> GaussianPrior:
    """Return a Gaussian with a mean that rises from -1/2 to 1/2 and correlations that fall off over 2 pixels."""
    channels, height, width = shape
    axes = torch.arange(channels), torch.arange(height), torch.arange(width)
    pixels = torch.cartesian_prod(*axes).double()
    covariance = prior_std**2 * torch.exp(-torch.cdist(pixels, pixels) / 2)
    mean = torch.linspace(-0.5, 0.5, len(pixels), dtype=torch.float64)
    return GaussianPrior(mean, covariance, shape)


@dataclass(frozen=True, eq=False)
class GaussianBed:
    """m measurements y = A x + sigma_y e of draws of a Gaussian prior, with the exact answers to all questions."""

    prior: GaussianPrior
    operator: str = "inpaint-box"
    sigma_y: float = 0.1
    m: int = 2

    @cached_property
    def problem(self) -> InverseProblem:
        return make_problem(self.operator, OPERATORS[self.operator], self.sigma_y, self.prior.shape)

    @cached_property
    def y(self) -> Tensor:
        """Return packed measurements, (m, *y)."""
        rng = Rng(("test", "gaussian bed", self.operator), range(self.m))
        return self.problem.simulate(self.prior.sample(1, rng)[:, 0], rng)

    @cached_property
    def matrices(self) -> Tensor:
        """Return A of each measurement, (m, P, D); rows of what was not measured are zero."""
        dim = len(self.prior.mean)
        pixels = torch.eye(dim, dtype=torch.float64).view(-1, *self.prior.shape)
        rows = [self.problem.operator(pixels, y_i.expand(dim, *y_i.shape)) for y_i in self.y]
        return torch.stack([image.flatten(1).mT for image in rows])

    @property
    def residual(self) -> Tensor:
        """Return y - A mean, (m, P)."""
        mean = self.prior.mean.view(self.prior.shape).expand(self.m, *self.prior.shape)
        return self.problem.residual(mean, self.y).flatten(1)

    def posterior(self, extra: float = 0.0) -> tuple[Tensor, Tensor]:
        """Return mean (m, D) and covariance (m, D, D) of p(x | y).

        extra: the variance of e, where y = A (x + e) + noise.
        """
        return conditioned(
            self.prior.mean.expand(self.m, -1),
            self.prior.covariance.expand(self.m, -1, -1),
            self.matrices,
            self.residual,
            self._noise(extra),
        )

    def given(self, x_t: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """Return mean (m, D) and covariance (m, D, D) of p(x | x_t, y) for one state x_t (m, *x) per measurement."""
        prior, shape = self.prior, self.prior.shape
        mean = prior.denoise(x_t, torch.tensor(sigma, dtype=torch.float64))
        noisy = prior.covariance + sigma**2 * torch.eye(len(prior.mean), dtype=torch.float64)
        covariance = prior.covariance - prior.covariance @ torch.linalg.solve(
            noisy, prior.covariance
        )
        residual = self.problem.residual(mean.view(-1, *shape), self.y).flatten(1)
        covariance = covariance.expand(self.m, -1, -1)
        return conditioned(mean.flatten(1), covariance, self.matrices, residual, self._noise())

    def log_evidence(self) -> Tensor:
        """Return log E[exp(log_likelihood(x, y))] under the prior, (m,).

        That is log p(y) without the normalising constant of the likelihood.
        """
        total = self.matrices @ self.prior.covariance @ self.matrices.mT + self._noise()
        misfit = (self.residual[:, None] @ torch.linalg.solve(total, self.residual[..., None]))[
            :, 0, 0
        ]
        return -0.5 * (misfit + torch.logdet(total / self.sigma_y**2))

    def _noise(self, extra: float = 0.0) -> Tensor:
        eye = torch.eye(self.matrices.shape[1], dtype=torch.float64)
        return self.sigma_y**2 * eye + extra * self.matrices @ self.matrices.mT


def conditioned(
    mean: Tensor, covariance: Tensor, matrix: Tensor, residual: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Return moments of x ~ N(mean, covariance) given y = A x + e.

    noise: the covariance of e; residual: y - A mean.
    """
    gain = torch.linalg.solve(matrix @ covariance @ matrix.mT + noise, matrix @ covariance).mT
    return mean + (gain @ residual[..., None])[..., 0], covariance - gain @ matrix @ covariance


class Impulses:
    """A `PerSample` whose sample j has noise 1 at its j-th number and 0 elsewhere; a last sample has none at all.

    A sampler that is affine in its noise maps these samples to the columns of its matrix: see `law_of`.
    """

    def __init__(self, m: int, num_rows: int) -> None:
        self.m, self.num_rows, self.used = m, num_rows, 0

    def __len__(self) -> int:
        return self.num_rows

    def randn(self, shape: tuple[int, ...]) -> Tensor:
        """Return (m, num_rows, *shape), from the next prod(shape) numbers of each row."""
        numbers = torch.zeros(self.num_rows, math.prod(shape), dtype=torch.float64)
        end = min(self.used + numbers.shape[1], self.num_rows - 1)
        rows = torch.arange(self.used, max(self.used, end))
        numbers[rows, rows - self.used] = 1
        self.used += numbers.shape[1]
        return numbers.view(1, self.num_rows, *shape).expand(self.m, *[-1] * (1 + len(shape)))

    def steps(self, num_steps: int, shape: tuple[int, ...]) -> Iterator[Tensor]:
        return (self.randn(shape) for _ in range(num_steps))


@dataclass(frozen=True, eq=False)
class ImpulseStreams:
    """A `Random` made of `Impulses`; chains (num_rows, *x) drawn from a measurement's stream are rows like samples."""

    per_sample: Impulses

    def __len__(self) -> int:
        return self.per_sample.m

    def randn(self, shape: tuple[int, ...]) -> Tensor:
        assert shape[0] == len(self.per_sample), "as many chains as samples"
        return self.per_sample.randn(shape[1:])

    def steps(self, num_steps: int, shape: tuple[int, ...]) -> Iterator[Tensor]:
        return (self.randn(shape) for _ in range(num_steps))


def law_of(method: Any, bed: GaussianBed) -> tuple[Tensor, Tensor]:
    """Return mean (m, D) and covariance (m, D, D) of the law of a sample, for a method that is affine in its noise.

    Exact, to rounding: nothing is drawn. For independent samples; chains need as many of them as samples are asked for.
    """
    counting = Impulses(bed.m, 1)
    method.sample(bed.prior, bed.problem, bed.y, 1, rng=ImpulseStreams(counting))
    rng = ImpulseStreams(Impulses(bed.m, counting.used + 1))
    x = method.sample(bed.prior, bed.problem, bed.y, counting.used + 1, rng=rng).flatten(2)
    mean, columns = x[:, -1], x[:, :-1] - x[:, -1:]
    return mean, columns.mT @ columns


def relative_errors(
    law: tuple[Tensor, Tensor], truth: tuple[Tensor, Tensor]
) -> tuple[float, float]:
    """Return the largest error of a mean in standard deviations of the truth, and of a covariance over its norm."""
    (mean, covariance), (true_mean, true_covariance) = law, truth
    scale = true_covariance.diagonal(dim1=1, dim2=2).sqrt()
    gap = torch.linalg.matrix_norm(covariance - true_covariance, 2)
    of_covariance = gap / torch.linalg.matrix_norm(true_covariance, 2)
    return float(((mean - true_mean).abs() / scale).max()), float(of_covariance.max())


def drawn(method: Any, bed: GaussianBed, num_samples: int = 1, prior: Any = None) -> Tensor:
    """Return samples (m, num_samples, *x) of a method, under the bed's prior or another one."""
    rng = Rng(("test", "drawn"), range(bed.m), range(num_samples))
    return method.sample(prior or bed.prior, bed.problem, bed.y, num_samples, rng=rng)


def first_state(bed: GaussianBed, sigma: float) -> Tensor:
    """Return the state sigma * noise (m, *x) from which `drawn` starts a sampler that draws noise for it first.

    A sampler with one step returns its estimate of E[x | x_t, y] at that state.
    """
    rng = Rng(("test", "drawn"), range(bed.m), range(1))
    return sigma * rng.per_sample.randn(bed.prior.shape)[:, 0]


def metered(method: Any, bed: GaussianBed, num_samples: int) -> tuple[float, float]:
    """Return the rows forward and backward per sample that the meter counts."""
    prior, meter = counted(bed.prior)
    drawn(method, bed, num_samples, prior)
    rows = bed.m * num_samples
    return meter.nfe(rows), meter.nfe_vjp(rows)
