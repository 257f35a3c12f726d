"""A measurement operator with Poisson noise: photons are counted, as in Chung et al., Diffusion Posterior Sampling.

ICLR 2023, https://arxiv.org/abs/2209.14687, with its `rate`: white has a mean of 255 rate photons. Two differences:
values are not clipped at white, and values darker than one grey level of 8 bits have the mean count of that level, so
that a photon in a black pixel does not rule out every image that is black there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.core.types import Cap
from bench.core.values import is_positive
from bench.problems.inverse_problem import InverseProblem

LEVELS = 255  # grey levels above black in 8 bits


def mid_grey_deviation(rate: float) -> float:
    """Return the standard deviation of the noise at A(x) = 0, mid-grey, in data units."""
    if not is_positive(rate):
        raise ValueError(f"rate must be a positive number, got {rate!r}")
    return math.sqrt(2 / (LEVELS * rate))


@dataclass(frozen=True)
class PoissonProblem(InverseProblem):
    """y = 2 k / P - 1 with counts k ~ Poisson(max(P (A(x) + 1) / 2, rate)) and P = 255 rate, value by value.

    `log_likelihood` is that of these counts. `residual` is the Gaussian approximation of the same paper, whose variance
    is proportional to y: y - A(x), scaled so that its noise has about the standard deviation sigma_y of mid-grey
    everywhere. The problem lacks LINEAR, since formulas for noise of one standard deviation do not hold.
    """

    rate: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not getattr(self.operator, "intensities", True):
            name = type(self.operator).__name__
            raise ValueError(
                f"noise: poisson counts photons, but {name} measures no intensities; take sigma_y"
            )

    @property
    def caps(self) -> Cap:
        return super().caps & ~(Cap.LINEAR | Cap.SPECTRUM)

    @property
    def photons(self) -> float:
        """Return the mean count of white, A(x) = 1."""
        return LEVELS * self.rate

    def mean_counts(self, clean: Tensor) -> Tensor:
        """Return the mean counts at A(x) = clean, at least that of one grey level."""
        return (self.photons / 2 * (clean + 1)).clamp_min(self.rate)

    def counts(self, values: Tensor) -> Tensor:
        """Return the counts in the values of y, whole numbers."""
        return (self.photons / 2 * (values + 1)).round().clamp_min(0)

    def residual(self, x: Tensor, y: Tensor) -> Tensor:
        # k + 1 is the variance of the mean count given k; with k alone, dark values would weigh too much
        deviation = 2 / self.photons * (self.counts(self.unpack(y)[0]) + 1).sqrt()
        return super().residual(x, y) * (self.sigma_y / deviation)

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the sum of k log(mean count) - mean count over all that was measured, (n,)."""
        values, mask = self.unpack(y)
        mean = self.mean_counts(self.operator(x, y))
        terms = self.counts(values) * mean.log() - mean
        return (terms if mask is None else mask * terms).flatten(1).sum(1)

    def draw_noise(self, rng: Rng, rows: int, like: Tensor) -> Tensor:
        """Draw the uniform numbers from which `noise_at` makes counts, (m rows, *clean)."""
        shape = self.operator.measured_shape(self.x_shape)
        return rng.rand((rows, *shape)).flatten(0, 1).to(like)

    def noise_at(self, clean: Tensor, noise: Tensor) -> Tensor:
        """Return y - A(x) where A(x) is `clean`: each count is the Poisson quantile at a uniform number."""
        from scipy import stats

        uniform = noise.double().clamp_max(1 - 1e-12).cpu().numpy()
        mean = self.mean_counts(clean).detach().double().cpu().numpy()
        counts = torch.from_numpy(stats.poisson.ppf(uniform, mean)).clamp_min(0).to(clean)
        return 2 / self.photons * counts - 1 - clean
