"""Inverse problems: a measurement operator by name with Gaussian or Poisson noise, or a reward."""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.registry import build
from bench.core.types import Shape
from bench.problems.inverse_problem import InverseProblem, PosteriorSampler
from bench.problems.poisson import PoissonProblem, mid_grey_deviation


def make_problem(
    name: str,
    parameters: Mapping[str, object],
    sigma_y: float,
    x_shape: Shape,
    posterior: PosteriorSampler | None = None,
    rate: float | None = None,
) -> InverseProblem:
    """Return the problem of measuring images of shape (c, h, w) with the operator `name`; ValueError if that cannot be.

    sigma_y: standard deviation of the noise in data units; posterior: draws p(x | y), where that is known. rate: of
    Poisson noise, in whose place sigma_y is not read.
    """
    operator, shape = build("operator", name, parameters), tuple(x_shape)
    if rate is None:
        return InverseProblem(operator, sigma_y, shape, posterior)
    deviation = mid_grey_deviation(rate)
    return PoissonProblem(operator, deviation, shape, posterior, rate)
