"""Images x ~ N(mean, v I) given linear measurements y = A x + sigma_y e: means, draws and gradients, row by row.

With the gain G = A^T (v A A^T + sigma_y^2 I)^-1 the conditional mean is mean + v G (y - A mean), and G (y - A mean) is
the gradient in `mean` of log N(y; A mean, v A A^T + sigma_y^2 I). Where the operator has a spectrum, all three are
closed forms in its coordinates. Otherwise G is applied by conjugate gradients, which only need A and A^T.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from bench.core.types import Cap, HasSpectrum, Problem, Shape, Spectrum
from bench.numerics.gradients import gradient

MOST_ITERATIONS = 100
SYNC_EVERY = (
    8  # iterations between two checks whether all rows have converged, which wait for a GPU
)


@dataclass(frozen=True, eq=False)
class Conditioning:
    """The Gaussian posteriors of rows of packed measurements y (n, *y), for images of shape `x_shape`.

    spectrum: of the operator at these rows, or None. sigma_y: the standard deviation that is assumed for the noise.
    """

    problem: Problem
    y: Tensor
    x_shape: Shape
    sigma_y: float
    spectrum: Spectrum | None

    @cached_property
    def noise_shape(self) -> Shape:
        """Return the shape of the standard normal numbers that one row of `draw` takes."""
        if self.spectrum is not None:
            return (math.prod(self.x_shape),)
        clean = self.problem.residual(self.y.new_zeros(1, *self.x_shape), self.y[:1])
        return (math.prod(self.x_shape) + clean.numel(),)

    def gain(self, residual: Tensor, variance: Tensor) -> Tensor:
        """Return A^T (v A A^T + sigma_y^2 I)^-1 residual, (n, *clean), v () -> (n, *x)."""
        operator, y = self.problem.operator, self.y
        if self.spectrum is not None:
            total = variance * self.spectrum.values.square() + self.sigma_y**2
            coordinates = self.spectrum.coordinates(operator.adjoint(residual, y))
            return self.spectrum.image(coordinates / total)

        def covariance(v: Tensor) -> Tensor:
            return variance * operator(operator.adjoint(v, y), y) + self.sigma_y**2 * v

        return operator.adjoint(conjugate_gradients(covariance, residual), y)

    def mean(self, mean: Tensor, variance: Tensor) -> Tensor:
        """Return E[x | y] under x ~ N(mean, v I): (n, *x), () -> (n, *x)."""
        return mean + variance * self.gain(self.problem.residual(mean, self.y), variance)

    def draw(self, mean: Tensor, variance: Tensor, noise: Tensor) -> Tensor:
        """Draw x given y under x ~ N(mean, v I); noise (n, *noise_shape), standard normal.

        Without a spectrum this is Matheron's rule: a draw of N(mean, v I) is shifted as the mean would be, with a draw
        of the measurement's noise added to y. Doucet 2010, A note on efficient conditional simulation of Gaussians
        """
        if self.spectrum is not None:
            total = variance * self.spectrum.values.square() + self.sigma_y**2
            spread = self.sigma_y * (variance / total).sqrt() * noise.view_as(mean)
            return self.mean(mean, variance) + self.spectrum.image(spread)
        size = math.prod(self.x_shape)
        images, others = noise[:, :size], noise[:, size:]
        drawn = mean + variance.sqrt() * images.view_as(mean)
        residual = self.problem.residual(drawn, self.y)
        residual = residual + self.sigma_y * others.view_as(residual)
        return drawn + variance * self.gain(residual, variance)


def conditioning(
    problem: Problem, y: Tensor, x_shape: Shape, sigma_y: float | None = None
) -> Conditioning:
    """Return the Gaussian posteriors of rows y (n, *y). sigma_y: the problem's by default.

    Needs Cap.LINEAR and Cap.RESIDUAL, and uses Cap.SPECTRUM.
    """
    known = Cap.SPECTRUM in problem.caps
    spectrum = cast(HasSpectrum, problem.operator).spectrum(y, x_shape) if known else None
    assumed = problem.sigma_y if sigma_y is None else sigma_y
    return Conditioning(problem, y, x_shape, assumed, spectrum)


def langevin(
    problem: Problem,
    y: Tensor,
    mean: Tensor,
    variance: Tensor,
    step: float,
    noises: Iterable[Tensor],
    weight: float = 1.0,
) -> Tensor:
    """Take unadjusted Langevin steps from `mean` towards N(x; mean, v I) exp(weight log_likelihood(x, y)).

    It takes one step for each of `noises`, (n, *x) each. Needs Cap.GRAD; the likelihood need not be Gaussian.
    """
    x = mean
    for noise in noises:
        drift = weight * gradient(problem.log_likelihood, x, y) - (x - mean) / variance
        x = x + step * drift + math.sqrt(2 * step) * noise
    return x


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor], b: Tensor, most_iterations: int = MOST_ITERATIONS
) -> Tensor:
    """Return M^-1 b, for rows b (n, *v) and apply(v) = M v symmetric and positive definite in each row.

    Rows do not interact: a row stops once its residual is eps^(3/4) of b, or after `most_iterations`.
    """
    x, residual, direction = torch.zeros_like(b), b, b
    size = inner(residual, residual)
    enough = torch.finfo(b.dtype).eps ** 1.5 * size
    for i in range(most_iterations):
        active = size > enough
        if i % SYNC_EVERY == 0 and not active.any():
            break
        image = apply(direction)
        step = torch.where(active, size / inner(direction, image).where(active, 1), 0)
        x, residual = x + step * direction, residual - step * image
        next_size = torch.where(active, inner(residual, residual), size)
        direction = residual + next_size / size.where(active, 1) * direction
        size = next_size
    return x


def minimal_residual(
    apply: Callable[[Tensor], tuple[Tensor, Tensor]], b: Tensor, num_iterations: int
) -> Tensor:
    """Return L u for the u that minimises |b - M u| over span(b, M b, ..., M^(num_iterations - 1) b), row by row.

    apply(v) = (M v, L v), both linear, for rows v (n, *v); M need not be symmetric. The result is that of GMRES, found
    by generalised conjugate residuals, and L u is combined from the products L v of the iterations. Eisenstat, Elman &
    Schultz 1983, https://doi.org/10.1137/0720023
    """
    residual, total = b, torch.zeros(())
    pairs: list[tuple[Tensor, Tensor]] = []  # orthonormal M p, and L p
    for _ in range(num_iterations):
        image, carried = apply(residual)
        for known, known_carried in pairs:
            overlap = inner(image, known)
            image = image - overlap * known
            carried = carried - _as(carried, overlap) * known_carried
        norm = inner(image, image).sqrt()
        scale = torch.where(norm > 0, 1 / norm, 0)
        image, carried = scale * image, _as(carried, scale) * carried
        pairs.append((image, carried))
        length = inner(residual, image)
        residual, total = residual - length * image, total + _as(carried, length) * carried
    return total


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Return inner products row by row, (n, 1, ...) with as many axes as a and b (n, *v)."""
    return (a * b).flatten(1).sum(1).view(-1, *[1] * (a.dim() - 1))


def _as(like: Tensor, numbers: Tensor) -> Tensor:
    """Return one number per row with as many axes as `like` (n, *x)."""
    return numbers.view(-1, *[1] * (like.dim() - 1))
