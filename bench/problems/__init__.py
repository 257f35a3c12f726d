"""Inverse problems: measurement operators by name, with Gaussian noise."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from bench.problems.inverse_problem import PosteriorSampler, Problem
from bench.problems.operators import (
    AveragePool,
    Blur,
    Denoise,
    InpaintBox,
    InpaintRandom,
    Operator,
    Phase,
    Saturate,
    Shape,
)

OPERATORS = {
    "denoise": Denoise,
    "inpaint-box": InpaintBox,
    "inpaint-random": InpaintRandom,
    "average-pool": AveragePool,
    "blur": Blur,
    "saturate": Saturate,
    "phase": Phase,
}


def make_operator(name: str, parameters: Mapping[str, object]) -> Operator:
    """The operator of that name; ValueError, in words, for an unknown name or parameter or an impossible value."""
    if name not in OPERATORS:
        raise ValueError(f"operator: expected one of {', '.join(OPERATORS)}, got {name!r}")
    try:
        inspect.signature(OPERATORS[name]).bind(**parameters)
    except TypeError as error:
        raise ValueError(f"parameters of operator {name}: {error}") from None
    return OPERATORS[name](**parameters)


def make_problem(
    name: str,
    parameters: Mapping[str, object],
    sigma_y: float,
    x_shape: Shape,
    posterior: PosteriorSampler | None = None,
) -> Problem:
    """The problem of measuring images of shape (c, h, w) with the named operator; ValueError when that cannot be."""
    return Problem(make_operator(name, parameters), sigma_y, tuple(x_shape), posterior)
