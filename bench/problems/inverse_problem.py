"""A measurement operator with additive Gaussian noise: y = A(x) + sigma_y n."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from bench.core.packed import mask_of, pack
from bench.core.rng import Rng
from bench.core.types import Cap, HasKernels, HasSpectrum, Operator, Shape
from bench.core.values import is_positive


class PosteriorSampler(Protocol):
    """A posterior p(x | y) of a prior under this problem, which can be sampled."""

    # (m, *y) -> (m, num_samples, *x)
    def sample(self, y: Tensor, num_samples: int, rng: Rng) -> Tensor: ...


@dataclass(frozen=True)
class InverseProblem:
    """p(y given x) of one operator. Rows x (n, *x) and packed y (n, *y) keep their dtype and device.

    sigma_y: standard deviation of the noise in data units; x_shape: of one image; posterior: draws of p(x | y).
    """

    operator: Operator
    sigma_y: float
    x_shape: Shape
    posterior: PosteriorSampler | None = None

    def __post_init__(self) -> None:
        if not is_positive(self.sigma_y):
            raise ValueError(f"sigma_y must be a positive number, got {self.sigma_y!r}")
        self.operator.measured_shape(self.x_shape)

    @property
    def y_shape(self) -> Shape:
        """Return the shape of one packed measurement."""
        channels, *size = self.operator.measured_shape(self.x_shape)
        beside = channels if self.operator.masked else int(isinstance(self.operator, HasKernels))
        return (channels + beside, *size)

    @property
    def uniform_shape(self) -> Shape | None:
        """Return the shape of the uniform numbers that make a measurement's mask or kernel; None without either."""
        if isinstance(self.operator, HasKernels):
            return (self.operator.num_uniform,)
        return self.x_shape if self.operator.masked else None

    @property
    def caps(self) -> Cap:
        caps = Cap.RESIDUAL | Cap.SIMULATE
        caps |= Cap.GRAD if getattr(self.operator, "differentiable", True) else Cap.NONE
        caps |= Cap.LINEAR if self.operator.linear else Cap.NONE
        caps |= Cap.SPECTRUM if isinstance(self.operator, HasSpectrum) else Cap.NONE
        return caps | (Cap.NONE if self.posterior is None else Cap.EXACT)

    def unpack(self, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return values and mask (1 where measured; None when everything is), each shaped like A(x)."""
        if self.operator.masked:
            return y.chunk(2, dim=1)[0], mask_of(y)
        return (y[:, :-1] if isinstance(self.operator, HasKernels) else y), None

    def residual(self, x: Tensor, y: Tensor) -> Tensor:
        """Return y - A(x), zero where nothing was measured, shaped like A(x)."""
        values, mask = self.unpack(y)
        # A(x) is masked already
        return (values if mask is None else mask * values) - self.operator(x, y)

    def log_likelihood(self, x: Tensor, y: Tensor) -> Tensor:
        """Return -||y - A(x)||^2 / (2 sigma_y^2) per row, (n,): log p(y given x) up to a constant."""
        return self.residual(x, y).square().flatten(1).sum(1) / (-2 * self.sigma_y**2)

    def num_measured_values(self, y: Tensor) -> Tensor:
        """Return the number of measured entries per row, (n,)."""
        values, mask = self.unpack(y)
        return (values.new_ones(values.shape) if mask is None else mask).flatten(1).sum(1)

    def measure(self, x: Tensor, noise: Tensor, uniform: Tensor | None = None) -> Tensor:
        """Return packed y = A(x) + noise; noise: what `draw_noise` returns, here (n, *clean) in data units.

        Masks and kernels are made from `uniform` (n, *uniform_shape) in [0, 1).
        """
        mask, kernel, shape = None, None, self.uniform_shape
        if shape and uniform is None:
            size = ", ".join(map(str, ("n", *shape)))
            raise ValueError(
                f"measure: this operator draws masks or kernels; give it numbers `uniform` ({size}) in [0, 1)"
            )
        if uniform is not None and isinstance(self.operator, HasKernels):
            kernel = self.operator.draw_kernel(uniform)
        elif uniform is not None and self.operator.masked:
            mask = self.operator.draw_mask(uniform)
        clean = self.operator(x, pack(noise, mask, kernel))
        self._refuse_other_shape(clean, len(x))
        values = clean + self.noise_at(clean, noise)
        return pack(values if mask is None else mask * values, mask, kernel)

    def _refuse_other_shape(self, clean: Tensor, rows: int) -> None:
        """Raise ValueError, one line, unless A(x) has the promised shape; another might be broadcast unnoticed."""
        expected = (rows, *self.operator.measured_shape(self.x_shape))
        shape = tuple(clean.shape) if isinstance(clean, Tensor) else type(clean).__name__
        if shape != expected:
            name = type(self.operator).__name__
            raise ValueError(f"{name}: A(x) is {shape}, measured_shape says {expected}")

    def draw_noise(self, rng: Rng, rows: int, like: Tensor) -> Tensor:
        """Draw the noise of `rows` measurements of each stream, (m rows, *clean), dtype and device as of `like`."""
        shape = self.operator.measured_shape(self.x_shape)
        return self.sigma_y * rng.randn((rows, *shape)).flatten(0, 1).to(like)

    def noise_at(self, clean: Tensor, noise: Tensor) -> Tensor:
        """Return y - A(x) where A(x) is `clean` (n, *clean), from the numbers that `draw_noise` returned."""
        return noise

    def simulate(self, x: Tensor, rng: Rng) -> Tensor:
        """Draw packed y ~ p(y given x), with fresh masks or kernels; row i k + j of n = m k uses stream i of m."""
        if len(x) % len(rng):
            raise ValueError(
                f"simulate: {len(x)} rows cannot be shared evenly by {len(rng)} random streams"
            )
        rows = len(x) // len(rng)
        shape = self.uniform_shape
        uniform = rng.rand((rows, *shape)).flatten(0, 1).to(x) if shape else None
        return self.measure(x, self.draw_noise(rng, rows, x), uniform)

    def sample_posterior(self, y: Tensor, num_samples: int, rng: Rng) -> Tensor:
        """Draw from p(x | y), (m, *y) -> (m, num_samples, *x). Needs Cap.EXACT."""
        if self.posterior is None:
            raise ValueError(
                "sample_posterior: this problem knows no exact posterior (its caps lack EXACT)"
            )
        return self.posterior.sample(y, num_samples, rng)
