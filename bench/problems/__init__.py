"""Inverse problems: a measurement operator by name with Gaussian noise, or a reward."""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.registry import build
from bench.core.types import Shape
from bench.problems.inverse_problem import InverseProblem, PosteriorSampler


def make_problem(
    name: str,
    parameters: Mapping[str, object],
    sigma_y: float,
    x_shape: Shape,
    posterior: PosteriorSampler | None = None,
) -> InverseProblem:
    """Return the problem of measuring images of shape (c, h, w) with the operator `name`; ValueError if that cannot be.

    sigma_y: standard deviation of the noise in data units; posterior: draws p(x | y), where that is known.
    """
    return InverseProblem(build("operator", name, parameters), sigma_y, tuple(x_shape), posterior)
