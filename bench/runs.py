"""Calling a method: finding it, asking whether it can run, and drawing its samples chunk by chunk."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Protocol, get_args

from torch import Tensor

from bench.rng import Rng
from bench.types import Cap, Joint, Method, Prior, Problem


class Measurements(Protocol):
    """Images (m, *x), packed measurements (m, *y) and image ids (m,)."""

    x_true: Tensor
    y: Tensor
    image_id: Tensor


def load_method(module: str, settings: dict) -> Method:
    """The class that `methods/<module>.py` names in `__all__`, with its hyperparameters."""
    found = importlib.import_module(f"methods.{module}")
    names = getattr(found, "__all__", None)
    cls = getattr(found, str(names[0]), None) if isinstance(names, (list, tuple)) and len(names) == 1 else None
    if not isinstance(cls, type):
        raise ValueError(f"__all__ is {names} in methods/{module}.py; expected exactly one name, that of its class")
    return cls(**settings)


def joint_of(method: Method, num_samples: int) -> tuple[Joint, int | None]:
    """How the samples of one measurement hang together, and of how many chains they are states."""
    joint = getattr(method, "joint", "independent")
    if joint not in get_args(Joint):
        raise ValueError(f"joint is {joint!r}; expected one of {', '.join(get_args(Joint))}")
    if joint != "chain":
        return joint, None
    if not isinstance(method.num_chains, int) or method.num_chains < 1:
        raise ValueError(f"num_chains is {method.num_chains!r}; expected a positive integer")
    return joint, min(method.num_chains, num_samples)


def missing_caps(method: Method, prior: Prior, problem: Problem) -> str:
    """Names of the capabilities that the method needs and this pair lacks, comma-separated."""
    missing = method.needs & ~(prior.caps | problem.caps)
    return ", ".join(cap.name for cap in Cap if cap in missing)


def sample(method: Method, prior: Prior, problem: Problem, observations: Measurements, spec: dict) -> Tensor:
    """Samples (m, s, *x), drawn in chunks of at most `rows_per_chunk` rows where that is up to us."""
    m, s = len(observations.y), spec["num_samples"]
    splits = joint_of(method, s)[0] == "independent"
    # the method is not among the axes: methods and settings are compared on common random numbers
    ids, axes = observations.image_id.tolist(), ("sample", spec["task"], spec["seed"])
    x = observations.x_true.new_empty(m, s, *prior.shape)
    for rows, samples in chunks(m, s, spec["rows_per_chunk"], splits):
        rng = Rng(axes, ids[rows], samples, dtype=x.dtype)
        y = observations.y[rows].clone()
        drawn = method.sample(prior, problem, y, len(samples), rng=rng)
        refuse_malformed(drawn, (len(y), len(samples), *prior.shape))
        x[rows, samples.start : samples.stop] = drawn.detach()
    if not x.isfinite().flatten(2).all(2).any():
        raise ValueError("no sample is finite")
    return x


def refuse_malformed(drawn: object, expected: tuple[int, ...]) -> None:
    if not isinstance(drawn, Tensor) or tuple(drawn.shape) != expected:
        came = tuple(drawn.shape) if isinstance(drawn, Tensor) else type(drawn).__name__
        raise ValueError(f"sample() returned {came}, expected a tensor of shape {expected}")
    if not drawn.is_floating_point():
        raise ValueError(f"sample() returned {drawn.dtype}, expected floating-point numbers")


def chunks(m: int, s: int, rows_per_chunk: int, splits_samples: bool) -> Iterator[tuple[slice, range]]:
    """Which measurements and which of their samples go into one call."""
    width = min(s, rows_per_chunk) if splits_samples else s
    height = max(1, rows_per_chunk // s)
    for i in range(0, m, height):
        for j in range(0, s, width):
            yield slice(i, min(i + height, m)), range(j, min(j + width, s))
