"""Errors of signals on an icosphere: weighted by the areas of the vertices, and by degree of their spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from bench.core.metric import Column, Context, Metric, Truth
from bench.core.values import is_count, require
from bench.metrics._spread import over_posterior
from bench.numerics.icosphere import icosphere, is_sphere

__all__ = ["Sphere"]

NO_SPHERE = "n/a (no signal on an icosphere)"
UNIT = "data units"
ROOT = "root of the mean over the surface of the squared difference between the mean of the samples and"
RMSE, MEAN_ERROR = f"{ROOT} x_true", f"{ROOT} that of the posterior"
CRPS = (
    "continuous ranked probability score of the samples for x_true, E|X - x| - E|X - X'| / 2 at each vertex, unbiased, "
    "mean over the surface; lowest for exact draws"
)
STD_RATIO = (
    "root of the variance of the samples over that of the posterior, both means over the surface"
)
SPECTRUM = (
    "mean over degrees 0 to {} of |ln of the mean power of the samples over that of the reference draws|, power: the "
    "squared Laplace-Beltrami coefficients of a degree, added up"
)


@dataclass(frozen=True)
class Sphere(Metric):
    """Means over the surface of a sphere; other columns count every vertex alike, though areas differ by a fifth."""

    largest_degree: int = 5  # of the spectra compared: (degree + 1)^2 eigenfunctions

    def __post_init__(self) -> None:
        good = is_count(self.largest_degree) and self.largest_degree <= 24
        require(
            good, f"largest_degree: expected a number from 1 to 24, got {self.largest_degree!r}"
        )

    def columns(self, context: Context | None) -> tuple[Column, ...]:
        spectrum = SPECTRUM.format(self.largest_degree)
        return (
            Column("sphere_rmse", RMSE, "lower", UNIT, "operator", of_point=True),
            Column("sphere_crps", CRPS, "lower", UNIT, "operator"),
            Column("sphere_mean_error", MEAN_ERROR, "lower", UNIT, "reference", of_point=True),
            Column("sphere_std_ratio", STD_RATIO, 1.0, "1", "reference"),
            Column("sphere_spectrum_error", spectrum, "lower", "1", "reference"),
        )

    def why_empty(self, truth: Truth) -> dict[str, str]:
        shape = truth.context.x_shape
        if not is_sphere(shape):
            return {column.id: NO_SPHERE for column in self.columns(None)}
        if (self.largest_degree + 1) ** 2 >= shape[1]:
            few = f"n/a ({shape[1]} vertices have no degree {self.largest_degree})"
            return {"sphere_spectrum_error": few}
        return {}

    def compute(self, samples: Tensor, truth: Truth) -> dict[str, Tensor]:
        areas = torch.from_numpy(icosphere(samples.shape[3]).areas).to(samples)

        def over_surface(x: Tensor) -> Tensor:  # (m, c, V, 1) -> (m,)
            return (x[..., 0] @ areas).mean(1)

        mean, variance = samples.mean(1), samples.var(1)
        error_of_mean = (mean - truth.mean).square()
        values = {
            "sphere_rmse": over_surface((mean - truth.x_true).square()).sqrt(),
            "sphere_crps": over_surface(crps(samples, truth.x_true)),
            "sphere_mean_error": over_surface(error_of_mean).sqrt(),
            "sphere_std_ratio": over_posterior(
                over_surface(variance), over_surface(truth.std.square()), truth
            ).sqrt(),
        }
        if "sphere_spectrum_error" not in self.why_empty(truth):
            key = ("sphere", self.largest_degree)
            expected = truth.once(key, lambda: powers(truth.reference, self.largest_degree))
            ratios = powers(samples, self.largest_degree) / expected
            values["sphere_spectrum_error"] = ratios.log().abs().mean(1)
        return values


def crps(samples: Tensor, x_true: Tensor) -> Tensor:
    """Return E|X - x| - E|X - X'| / 2 of each entry, without bias: (m, s, *x), (m, *x) -> (m, *x).

    The mean of |X - X'| over pairs of s sorted samples is 2 / (s (s - 1)) times the sum of (2 j - s - 1) X_(j).
    """
    s = samples.shape[1]
    weights = (2 * torch.arange(1, s + 1).to(samples) - s - 1) / (s * max(s - 1, 1))
    of_pairs = torch.einsum("s,ms...->m...", weights, samples.sort(1).values)
    return (samples - x_true[:, None]).abs().mean(1) - of_pairs


def powers(x: Tensor, largest_degree: int) -> Tensor:
    """Return the mean power of draws by degree, (m, e, c, V, 1) -> (m, largest_degree + 1)."""
    functions = eigenfunctions(x.shape[3], largest_degree).to(x)
    squares = (x[..., 0] @ functions).square().mean((1, 2))
    sizes = [2 * degree + 1 for degree in range(largest_degree + 1)]
    return torch.stack([part.sum(1) for part in squares.split(sizes, 1)], 1)


@cache
def eigenfunctions(num_vertices: int, largest_degree: int) -> Tensor:
    """Return the functions up to a degree times the areas of the vertices, (V, (largest_degree + 1)^2)."""
    sphere = icosphere(num_vertices)
    functions = sphere.eigenfunctions((largest_degree + 1) ** 2)[1]
    return torch.from_numpy(functions * sphere.areas[:, None])
