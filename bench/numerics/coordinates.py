"""A linear measurement in the singular coordinates of its operator: noisy values of some coordinates of the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.types import Problem, Shape, Spectrum


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Measured coordinates z = V^T x of images (n, *x): `values` = z + noise of standard deviation `levels`.

    values (n, *x): zero where a coordinate is not measured. levels (n, *x): infinite there. singular (n, *x): singular
    values, zero there.
    """

    spectrum: Spectrum
    values: Tensor
    levels: Tensor
    singular: Tensor

    @property
    def seen(self) -> Tensor:
        return self.singular > 0


def coordinates_of(problem: Problem, y: Tensor, x_shape: Shape) -> Coordinates:
    """Return y (n, *y) as measured coordinates of images. Needs Cap.LINEAR, Cap.RESIDUAL and Cap.SPECTRUM.

    Singular values below the root of the rounding error of the largest one count as zero.
    """
    spectrum, singular = singular_values(problem, y, x_shape)
    measured = problem.residual(y.new_zeros(len(y), *x_shape), y)  # the values of y themselves
    pulled = spectrum.coordinates(problem.operator.adjoint(measured, y))
    seen = singular > 0
    values = torch.where(seen, pulled / singular.where(seen, 1).square(), 0)
    levels = torch.where(seen, problem.sigma_y / singular.where(seen, 1), torch.inf)
    return Coordinates(spectrum, values, levels, singular)


def singular_values(problem: Problem, y: Tensor, x_shape: Shape) -> tuple[Spectrum, Tensor]:
    """Return the spectrum of the operator at y (n, *y) and its singular values (n, *x), those near zero made zero."""
    spectrum = problem.operator.spectrum(y, x_shape)  # pyright: ignore[reportAttributeAccessIssue]
    singular = spectrum.values.expand(len(y), *x_shape)
    largest = singular.flatten(1).amax(1).view(-1, *[1] * len(x_shape))
    least = torch.finfo(y.dtype).eps ** 0.5 * largest
    return spectrum, torch.where(singular > least, singular, 0)
