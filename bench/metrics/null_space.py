"""Diversity in the part of an image that a linear operator measures, and in the part that it does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bench.core.metric import Column, Context, Likelihood, Metric, Truth
from bench.core.types import Cap, HasSpectrum
from bench.metrics._spread import ratio
from bench.numerics.distances import RESOLUTION

__all__ = ["NullSpace"]

LARGEST = 1024  # values of an image: a singular value decomposition of an operator without spectrum takes a second
EMPTY = 1e-6  # singular values below this share of the largest are zero
NO_OPERATOR = "n/a (reward, no measurement operator)"
NOT_LINEAR = "n/a (operator is not linear)"
TOO_LARGE = f"n/a (operator without spectrum, images of more than {LARGEST} values)"
NO_NULL_SPACE = "n/a (operator has no null space)"
IDS = ("diversity_null", "diversity_range", "diversity_null_ratio", "diversity_range_ratio")


@dataclass(frozen=True)
class NullSpace(Metric):
    """Diversity in the null space of a linear operator and in its complement; they add up to diversity.

    The split is the operator's own, whatever the noise is.
    """

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        return (
            Column(
                "diversity_null",
                "diversity in the null space of the linear operator, which no measurement sees (singular values below "
                f"{EMPTY:g} of the largest); diversity_null and diversity_range add up to diversity",
                None,
                "data units^2",
                "operator",
            ),
            Column(
                "diversity_range",
                "diversity in what the linear operator sees, the complement of its null space",
                None,
                "data units^2",
                "operator",
            ),
            *(
                Column(
                    f"{id}_ratio", f"{id} over that of the exact posterior", 1.0, "1", "reference"
                )
                for id in IDS[:2]
            ),
        )

    def why_empty(self, truth: Truth) -> dict[str, str]:
        reason = reason_without_axes(truth.problem, truth.draws.shape[2])
        if reason:
            return dict.fromkeys(IDS, reason)
        return {id: NO_NULL_SPACE for id in IDS if "_null" in id and _axes(truth).seen.all()}

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        axes = _axes(truth)
        own = axes.variances(samples.flatten(2))
        of_reference = truth.once(
            "variances in null space and range", lambda: axes.variances(truth.draws)
        )
        values = {}
        for part, variance, of_draws in zip(("null", "range"), own, of_reference, strict=True):
            values[f"diversity_{part}"] = 2 * variance
            values[f"diversity_{part}_ratio"] = ratio(variance, of_draws, RESOLUTION**2)
        return values


@dataclass(frozen=True)
class Axes:
    """Right singular vectors of the operators of k = m measurements, or of one operator for all (k = 1).

    coordinates: a function from points (m, n, D) to their coordinates along the vectors. seen: (k, D), whether the
    operator measures a coordinate.
    """

    coordinates: Callable[[Tensor], Tensor]
    seen: Tensor

    def variances(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the variance over D of points (m, n, D) in the null space and in its complement, (m,) each."""
        squares = self.coordinates(x - x.mean(1, keepdim=True)).square().sum(1) / (
            (x.shape[1] - 1) * x.shape[2]
        )
        return (squares * ~self.seen).sum(1), (squares * self.seen).sum(1)


def reason_without_axes(problem: Likelihood, dimension: int) -> str:
    """Return the reason why images of so many values are not split, or "".

    The capabilities LINEAR and SPECTRUM of a problem cannot decide this, since they also require Gaussian noise.
    """
    if Cap.RESIDUAL not in problem.caps:
        return NO_OPERATOR
    operator = getattr(problem, "operator", None)
    if not getattr(operator, "linear", False):
        return NOT_LINEAR
    has_spectrum = isinstance(operator, HasSpectrum)
    return TOO_LARGE if dimension > LARGEST and not has_spectrum else ""


def axes_of(problem: Likelihood, y: Tensor, x_shape: tuple[int, ...]) -> Axes:
    """Return the axes of the operators of measurements (m, *y): their spectrum, or that of their matrices."""
    if not isinstance(problem.operator, HasSpectrum):
        return _axes_of_matrices(problem, y, x_shape)
    spectrum = problem.operator.spectrum(y, x_shape)
    values = spectrum.values.flatten(1)

    def coordinates(x: Tensor) -> Tensor:
        return spectrum.coordinates(x.reshape(-1, *x_shape)).reshape(x.shape)

    return Axes(coordinates, values > EMPTY * values.amax(1, keepdim=True))


def _axes_of_matrices(problem: Likelihood, y: Tensor, x_shape: tuple[int, ...]) -> Axes:
    """Return the axes of operators without spectrum, by applying each to all unit images."""
    size = math.prod(x_shape)
    basis = torch.eye(size, dtype=y.dtype).unflatten(1, x_shape)
    matrices = torch.stack(
        [problem.operator(basis, row.expand(size, *row.shape)).flatten(1).mT for row in y]
    )
    if (matrices == matrices[:1]).all():
        matrices = matrices[:1]
    _, values, vectors = torch.linalg.svd(matrices, full_matrices=True)
    # an operator has no more of them than rows
    values = functional.pad(values, (0, size - values.shape[1]))
    return Axes(lambda x: x @ vectors.mT, values > EMPTY * values[:, :1])


def _axes(truth: Truth) -> Axes:
    return truth.once(
        "axes", lambda: axes_of(truth.problem, truth.y, tuple(truth.x_true.shape[1:]))
    )
