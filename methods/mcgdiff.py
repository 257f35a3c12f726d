"""MCGdiff: Monte Carlo guided diffusion for Bayesian linear inverse problems. Cardoso et al., ICLR 2024.

https://arxiv.org/abs/2308.07983

A noisy measurement of a singular coordinate, divided by its singular value s, is the state of that coordinate at noise
level sigma_y / s. Above that level particles are pulled towards it and weighted; below it they go on unguided.

Deviations:
- `weighting = "state"` takes this at its word: nothing is weighted below the level. The released code multiplies by
  N(y; A x, sigma_y^2 I) over the last potential at the end (`"likelihood"`), whose variance is infinite unless the
  potential is wider than the chain's last guided step (`kappa`): kept for comparison.
- The noise level next to that of a coordinate is moved onto it, for each measurement, so that no level is passed over.
- The first state is drawn from its law times the first potential; the released code draws it from its law alone.
- Noise levels are geometric from `sigma_max` to `sigma_min`; resampling is systematic, the paper's is multinomial.
- `joint = "independent"` runs a cloud for each sample; the paper draws all from one (`joint = "coupled"`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, LogUniform, Prior, Problem, Random, Search
from bench.numerics.chunks import in_chunks, rows_of
from bench.numerics.clouds import (
    JOINTS,
    CloudJoint,
    Clouds,
    diagnosis_of,
    geometric_sigmas,
    samples_of,
)
from bench.numerics.coordinates import Coordinates, coordinates_of

__all__ = ["MCGdiff"]


@dataclass(frozen=True)
class MCGdiff:
    """Particles on the ancestral chain whose seen coordinates are drawn towards the measurement, without gradients.

    A particle costs a row through the denoiser for each step; an independent sample costs all particles of a cloud, and
    a coupled one its share of them.

    Exact when the number of particles goes to infinity, and then the number of steps, for linear operators. The
    estimate of the evidence is unbiased with any number of particles: with `weighting = "state"` under the distribution
    of the chain at the measurement's noise level, with `"likelihood"` under that at its end.
    """

    kind: ClassVar[Kind] = "SMC"
    needs: ClassVar[Cap] = Cap.DENOISER | Cap.RESIDUAL | Cap.LINEAR | Cap.SPECTRUM
    search: ClassVar[Search] = {"kappa": LogUniform(1e-6, 1.0)}
    tiny: ClassVar[dict[str, object]] = {"num_steps": 25, "num_particles": 4}

    num_steps: int = 100  # noise levels
    num_particles: int = 16  # in a cloud
    joint: CloudJoint = "independent"  # a cloud for each sample; coupled: one for each measurement
    weighting: Literal["state", "likelihood"] = "state"  # what weights the particles at the end
    kappa: float = 1e-4  # variance of the potential at the measurement's level, over 1 + its square
    ess_threshold: float = 1.0  # effective share of particles below which a cloud is resampled
    sigma_max: float = 100.0  # largest noise level, data units
    sigma_min: float = 0.01  # noise level of the step before the last

    def __post_init__(self) -> None:
        if self.num_steps < 2 or self.num_particles < 1:
            sizes = f"num_steps = {self.num_steps}, num_particles = {self.num_particles}"
            raise ValueError(f"{sizes}: expected num_steps >= 2 and num_particles >= 1")
        if self.joint not in JOINTS:
            raise ValueError(f"joint = {self.joint!r}: expected one of {', '.join(JOINTS)}")
        if self.weighting not in ("state", "likelihood"):
            raise ValueError(f"weighting = {self.weighting!r}: expected 'state' or 'likelihood'")
        if self.kappa <= 0 or not 0 <= self.ess_threshold <= 1:
            given = f"kappa = {self.kappa}, ess_threshold = {self.ess_threshold}"
            raise ValueError(f"{given}: expected kappa > 0 and ess_threshold in [0, 1]")
        if not 0 < self.sigma_min < self.sigma_max:
            levels = f"sigma_min = {self.sigma_min}, sigma_max = {self.sigma_max}"
            raise ValueError(f"{levels}: expected 0 < sigma_min < sigma_max")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        share = self.num_particles / (num_samples if self.joint == "coupled" else 1)
        return NFE(self.num_steps * share, 0)

    @torch.no_grad()
    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        numbers = self.num_particles * math.prod(prior.shape)
        run = partial(self.run, prior, problem)
        return samples_of(run, y, num_samples, rng, self.joint, numbers)

    @torch.no_grad()
    def diagnose(
        self, prior: Prior, problem: Problem, y: Tensor, num_paths: int, *, rng: Random
    ) -> dict[str, Tensor]:
        """Return `log_z`, `path_ess` and `num_ancestors` of one cloud for each measurement, (m,) each."""
        return diagnosis_of(partial(self.run, prior, problem), y, rng)

    def run(self, prior: Prior, problem: Problem, y: Tensor, rng: Random) -> tuple[Clouds, Tensor]:
        """Return a cloud for each of y (c, *y), and the particles (c k, *x) at the end of the chain."""
        c, k, n, shape = len(y), self.num_particles, self.num_steps, prior.shape
        measured = coordinates_of(problem, y, shape)
        sigmas = self.levels(prior, measured)
        denoise = denoiser(prior, measured, sigmas, k)
        uniforms, noises = rng.rand((n,)), rng.steps(n, (k, *shape))
        clouds, left = Clouds.start(c, k, y), y.new_zeros(c, k)
        before = Potential.at(measured, sigmas[n], self.kappa)  # at level 0, where none is active
        z = mean = y.new_zeros(c, k, *shape)
        variance = 1 + sigmas[0].square()
        for i, (noise, uniform) in enumerate(zip(noises, uniforms.unbind(1), strict=True)):
            now, old = Potential.at(measured, sigmas[i], self.kappa), before.log(z)
            # the weight that a coordinate has gained is kept to the end when it becomes inactive
            gained = (now.log(mean, variance) - old.where(now.active, 0)).flatten(2).sum(2)
            left = left + old.where(~now.active, 0).flatten(2).sum(2)
            clouds, kept = clouds.weighted(gained).resampled(uniform, self.ess_threshold)
            mean, left = (part.flatten(0, 1)[kept].view_as(part) for part in (mean, left))
            z, before = now.drawn(mean, variance, noise), now
            ratio = (sigmas[i + 1] / sigmas[i]).square()
            mean = torch.lerp(denoise(z, i), z, ratio)
            variance = sigmas[i + 1].square() * (1 - ratio)
        x = measured.spectrum.image(mean.flatten(0, 1))
        if self.weighting == "state":
            log_z = clouds.log_z + constant(problem, y, measured, sigmas[0])
            return replace(clouds, log_z=log_z), x
        left = left + before.log(z).flatten(2).sum(2)
        rows = y.repeat_interleave(k, 0)
        return clouds.weighted(problem.log_likelihood(x, rows) - left.flatten()), x

    def levels(self, prior: Prior, measured: Coordinates) -> Tensor:
        """Return noise levels of each cloud from the largest to 0, (n + 1, c, 1, ...): also those of the coordinates.

        Levels have equal ratios, except that a level next to levels of coordinates is replaced by the largest of these.
        """
        n, wanted = self.num_steps, measured.levels.flatten(1)
        high = min(self.sigma_max, prior.sigma_range[1])
        low = max(self.sigma_min, prior.sigma_range[0])
        plain = geometric_sigmas(n, high, low, wanted)
        place = (math.log(high) - wanted.log()) * (n - 1) / math.log(high / low)
        inside = (place > -0.5) & (place < n - 0.5)
        place = torch.where(
            inside, place.round(), n
        ).long()  # those outside go to the last, set to 0 below
        levels = plain.repeat(len(wanted), 1).scatter_reduce(
            1, place, wanted, "amax", include_self=False
        )
        levels[:, n] = 0
        return levels.mT.reshape(n + 1, len(wanted), *[1] * measured.values.dim())


@dataclass(frozen=True, eq=False)
class Potential:
    """N(values; z, width) over the `active` coordinates, those whose level is at most that of the state, (c, 1, *x)."""

    values: Tensor
    active: Tensor
    width: Tensor  # a variance

    @classmethod
    def at(cls, measured: Coordinates, sigma: Tensor, kappa: float) -> Potential:
        """Return the potential at noise levels (c, 1, ...)."""
        levels = measured.levels[:, None]
        active = levels <= sigma
        squares = levels.where(active, 0).square()
        width = sigma.square() - squares + kappa * (1 + squares)
        return cls(measured.values[:, None], active, width)

    def log(self, mean: Tensor, variance: Tensor | float = 0.0) -> Tensor:
        """Return log N(values; mean, width + variance), of each coordinate, zero where it is not active."""
        total = self.width + variance
        log = -((self.values - mean).square() / total + (2 * math.pi * total).log()) / 2
        return log.where(self.active, 0)

    def drawn(self, mean: Tensor, variance: Tensor, noise: Tensor) -> Tensor:
        """Draw from N(mean, variance) times the potential; noise standard normal."""
        gain = (variance / (variance + self.width)).where(self.active, 0)
        return mean + gain * (self.values - mean) + (variance * (1 - gain)).sqrt() * noise


def denoiser(
    prior: Prior, measured: Coordinates, sigmas: Tensor, num_particles: int
) -> Callable[[Tensor, int], Tensor]:
    """Return the denoiser of coordinates (c, k, *x) at a level by its number, some rows at a time."""
    spectrum = measured.spectrum
    levels = sigmas.flatten(1)  # (n + 1, c)
    # one number for all rows is cheaper for many priors
    is_common = bool((levels == levels[:, :1]).all())

    def denoise(z: Tensor, i: int) -> Tensor:
        def call(z: Tensor, sigma: Tensor) -> tuple[Tensor]:
            x_0 = prior.denoise(spectrum.image(z), sigma[0] if is_common else sigma)
            return (spectrum.coordinates(x_0),)

        rows = levels[i].repeat_interleave(num_particles)
        (z_0,) = in_chunks(call, rows_of(prior.shape), z.flatten(0, 1), rows)
        return z_0.view_as(z)

    return denoise


def constant(problem: Problem, y: Tensor, measured: Coordinates, sigma: Tensor) -> Tensor:
    """Return the log of exp(log_likelihood) over the density of the coordinates that are active at level sigma, (c,).

    The likelihood without its constant is the density of the seen coordinates, times their levels and sqrt(2 pi), times
    that of the part of y that no image explains.
    """
    active = measured.levels <= sigma[:, 0]
    values = problem.residual(y.new_zeros(len(y), *measured.values.shape[1:]), y)
    explained = (measured.singular * measured.values).where(active, 0).square().flatten(1).sum(1)
    misfit = values.square().flatten(1).sum(1) - explained
    scale = (math.sqrt(2 * math.pi) * measured.levels).log().where(active, 0).flatten(1).sum(1)
    return scale - misfit / (2 * problem.sigma_y**2)
