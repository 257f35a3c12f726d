"""Inverse problems: a measurement operator by name with Gaussian or Poisson noise, or a reward."""

from __future__ import annotations

from collections.abc import Mapping

from bench.core.registry import build
from bench.core.types import Operator, Shape
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

    sigma_y: standard deviation of the noise in data units. posterior: draws from p(x | y), where it is known. rate: of
    Poisson noise; sigma_y is then not used.
    """
    operator, shape = build("operator", name, parameters), tuple(x_shape)
    refuse_incomplete(name, operator)
    if rate is None:
        return InverseProblem(operator, sigma_y, shape, posterior)
    deviation = mid_grey_deviation(rate)
    return PoissonProblem(operator, deviation, shape, posterior, rate)


def refuse_incomplete(name: str, operator: Operator) -> None:
    """Raise ValueError, one line, where an operator lacks what every operator, or every linear or masked one, has."""
    missing = [has for has in ("linear", "masked") if not hasattr(operator, has)]
    needed = ["measured_shape"]
    needed += ["adjoint"] if getattr(operator, "linear", False) else []
    needed += ["draw_mask"] if getattr(operator, "masked", False) else []
    missing += [f"{has}()" for has in needed if not callable(getattr(operator, has, None))]
    if missing:
        more = "posterior-bench conformance on its file says what is expected"
        raise ValueError(f"operator {name}: there is no {', '.join(missing)}; {more}")
