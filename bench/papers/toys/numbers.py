"""Numbers of a toy: distances to the grid's draws, mass per mode, and the sampler's own estimates."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bench.numerics.distances import (
    energy_distance,
    mean_distance_within,
    projected,
    sliced_wasserstein2,
)
from bench.papers.toys.figure import Number
from bench.papers.toys.posterior import Case, Samples


def numbers_of(case: Case) -> Iterator[Number]:
    """Yield distances to the grid's draws with their floor, mass per mode, and log Z."""
    for space, sets in (("noise", case.noise), ("data", case.data)):
        for name, points in sets.items():
            if name != "grid":
                place, truth = f"{case.name} {space}", sets["grid"]
                yield place, "sliced W2 to grid", name, _sliced_distance(points, truth)
                energy = energy_distance(
                    points[None], truth[None], mean_distance_within(truth[None])
                ).item()
                yield place, "energy distance to grid", name, energy
    for name, points in case.data.items():
        nearest = torch.cdist(points, case.modes).argmin(1)
        for i, (x, y) in enumerate(case.modes.tolist()):
            share = (nearest == i).double().mean().item()
            yield f"{case.name} data", f"mass near ({x:.2f}, {y:.2f})", name, share
    yield f"{case.name} noise", "log Z", "quadrature", case.posterior.log_z
    yield from estimates_of(f"{case.name} noise", case.samples)


def estimates_of(place: str, samples: Samples) -> Iterator[Number]:
    """Yield a sampler's estimates: log Z, its lower bound, and the effective share of importance weights."""
    yield place, "log Z", "ods", samples.log_z
    yield place, "lower bound of log Z", "ods", samples.elbo
    yield place, "effective share of importance weights", "ods", samples.ess


def format_estimates(samples: Samples, log_z: float) -> str:
    """Return two lines: the estimate of log Z with the grid's, and the effective share of importance weights."""
    return f"log Z {samples.log_z:.2f} (grid {log_z:.2f})\nESS {100 * samples.ess:.0f} %"


def format_nearness(case: Case, name: str) -> str:
    """Return the distance of named draws to those of the grid, with the floor, as text."""
    value, floor = (_sliced_distance(case.data[key], case.data["grid"]) for key in (name, "floor"))
    return f"SW2 {value:.3f} (floor {floor:.3f})"


def _sliced_distance(x: Tensor, y: Tensor) -> float:
    return sliced_wasserstein2(projected(x[None]), projected(y[None])).item()
