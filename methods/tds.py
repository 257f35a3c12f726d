"""TDS: practical and asymptotically exact conditional sampling in diffusion models. Wu et al., NeurIPS 2023.

https://arxiv.org/abs/2306.17775 (twisted diffusion sampler)

Deviations:
- Where the operator has a spectrum the twist's covariance is sigma_y^2 I + r^2 A A^T, with r^2 = sigma^2 tau^2 /
  (sigma^2 + tau^2) for tau = `prior_std`; for other measurements with noise of sigma_y it is (sigma_y^2 + r^2) I, and
  for rewards the twist is the reward of E[x | x_t]. The released code has a variance of its own for each problem.
- Noise levels are geometric from `sigma_max` to `sigma_min`: at 100 steps the law of unguided samples is much nearer to
  the prior than with the linear schedule for beta.
- A cloud is resampled where its effective share of particles falls below `ess_threshold`; the released code resamples
  after each step (1), and clamps the twist of some problems, which is not done here.
- The last weight is that of the likelihood at the sample, and samples are drawn by it. `joint = "independent"` runs a
  cloud for each sample; the paper draws all from one (`joint = "coupled"`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, LogUniform, Prior, Problem, Random, Search, Spectrum
from bench.numerics.chunks import in_chunks, rows_of
from bench.numerics.clouds import (
    JOINTS,
    CloudJoint,
    Clouds,
    diagnosis_of,
    geometric_sigmas,
    samples_of,
)
from bench.numerics.coordinates import singular_values

__all__ = ["TDS"]


@dataclass(frozen=True)
class TDS:
    """Particles on the ancestral chain, guided by the likelihood of E[x | x_t] and weighted to correct the guidance.

    A particle costs a row through the denoiser for each step and one back for each but the last; an independent sample
    costs all particles of a cloud, and a coupled one its share of them.

    Exact when the number of particles goes to infinity, for any likelihood, if the prior is taken to be the end of the
    unguided chain; this tends to the prior itself as `num_steps` grows. The estimate of the evidence under that prior
    is unbiased with any number of particles.
    """

    kind: ClassVar[Kind] = "SMC"
    needs: ClassVar[Cap] = Cap.DENOISER | Cap.GRAD
    uses: ClassVar[Cap] = Cap.RESIDUAL | Cap.LINEAR | Cap.SPECTRUM
    search: ClassVar[Search] = {"prior_std": LogUniform(0.05, 30.0)}
    tiny: ClassVar[dict[str, object]] = {"num_steps": 25, "num_particles": 4}

    num_steps: int = 100  # noise levels
    num_particles: int = 16  # in a cloud
    joint: CloudJoint = "independent"  # a cloud for each sample; coupled: one for each measurement
    # tau of the twist's variance; 0 takes the likelihood of E[x | x_t] as it is
    prior_std: float = 0.5
    ess_threshold: float = 1.0  # effective share of particles below which a cloud is resampled
    sigma_max: float = 100.0  # largest noise level, data units
    sigma_min: float = 0.01  # noise level of the step before the last

    def __post_init__(self) -> None:
        if self.num_steps < 2 or self.num_particles < 1:
            sizes = f"num_steps = {self.num_steps}, num_particles = {self.num_particles}"
            raise ValueError(f"{sizes}: expected num_steps >= 2 and num_particles >= 1")
        if self.joint not in JOINTS:
            raise ValueError(f"joint = {self.joint!r}: expected one of {', '.join(JOINTS)}")
        if self.prior_std < 0 or not 0 <= self.ess_threshold <= 1:
            given = f"prior_std = {self.prior_std}, ess_threshold = {self.ess_threshold}"
            raise ValueError(f"{given}: expected prior_std >= 0 and ess_threshold in [0, 1]")
        if not 0 < self.sigma_min < self.sigma_max:
            levels = f"sigma_min = {self.sigma_min}, sigma_max = {self.sigma_max}"
            raise ValueError(f"{levels}: expected 0 < sigma_min < sigma_max")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        share = self.num_particles / (num_samples if self.joint == "coupled" else 1)
        return NFE(self.num_steps * share, (self.num_steps - 1) * share)

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
        k, n, shape = self.num_particles, self.num_steps, prior.shape
        low, high = prior.sigma_range
        sigmas = geometric_sigmas(n, min(self.sigma_max, high), max(self.sigma_min, low), y)
        twist = Twist.of(prior, problem, y, k, self.prior_std)
        uniforms = rng.rand((n - 1,))
        noises = (noise.flatten(0, 1) for noise in rng.steps(n, (k, *shape)))

        x = (1 + sigmas[0].square()).sqrt() * next(noises)
        x_0, log_twist, pull = twist(x, sigmas[0])
        clouds = Clouds.start(len(y), k, y).weighted(log_twist)
        steps = zip(sigmas[:-2], sigmas[1:-1], noises, uniforms.unbind(1), strict=True)
        for i, (sigma, sigma_next, noise, uniform) in enumerate(steps):
            clouds, kept = clouds.resampled(uniform, self.ess_threshold)
            x, x_0, before, pull = (part[kept] for part in (x, x_0, log_twist, pull))
            ratio = (sigma_next / sigma).square()
            # the guided step is the unguided one moved by `shift`, here in units of its noise
            spread = sigma_next * (1 - ratio).sqrt()
            shift = (1 - ratio) * sigma.square() / spread * pull
            x = torch.lerp(x_0, x, ratio) + spread * (shift + noise)
            unguided_over_guided = -(shift * (shift / 2 + noise)).flatten(1).sum(1)
            x_0, log_twist, pull = twist(x, sigma_next, guided=i < n - 2)
            clouds = clouds.weighted(unguided_over_guided + log_twist - before)
        return clouds.weighted(problem.log_likelihood(x_0, twist.y) - log_twist), x_0


@dataclass(frozen=True, eq=False)
class Twist:
    """An approximation of log p(y | x_t) for rows of y (n, *y): the likelihood at E[x | x_t], made wider.

    Constants are left out, for they cancel in the weights. singular (n, *x): singular values, where there is a
    spectrum.
    """

    prior: Prior
    problem: Problem
    y: Tensor
    spectrum: Spectrum | None
    singular: Tensor
    prior_std: float

    @classmethod
    def of(
        cls, prior: Prior, problem: Problem, y: Tensor, num_particles: int, prior_std: float
    ) -> Twist:
        """Return the twist of `num_particles` rows for each of y (c, *y)."""
        spectrum, singular = None, y.new_zeros(len(y))
        if Cap.LINEAR | Cap.RESIDUAL | Cap.SPECTRUM in problem.caps:
            spectrum, singular = singular_values(problem, y, prior.shape)
        y, singular = (part.repeat_interleave(num_particles, 0) for part in (y, singular))
        return cls(prior, problem, y, spectrum, singular, prior_std)

    def __call__(self, x: Tensor, sigma: Tensor, guided: bool = True) -> tuple[Tensor, ...]:
        """Return E[x | x_t] (n, *x), the twist (n,) and, where `guided`, its gradient in x_t (n, *x)."""
        of_prior = self.prior_std**2
        variance = sigma.square() * of_prior / (sigma.square() + of_prior)

        def call(x: Tensor, y: Tensor, singular: Tensor) -> tuple[Tensor, ...]:
            with torch.set_grad_enabled(guided):
                x = x.detach().requires_grad_(guided)
                x_0 = self.prior.denoise(x, sigma)
                value = self.at(x_0, y, singular, variance)
                gradient = torch.autograd.grad(value.sum(), x) if guided else (x,)
            return x_0.detach(), value.detach(), *gradient

        return in_chunks(call, rows_of(self.prior.shape), x, self.y, self.singular)

    def at(self, x_0: Tensor, y: Tensor, singular: Tensor, variance: Tensor) -> Tensor:
        """Return log N(y; A x_0, sigma_y^2 I + variance A A^T); without a spectrum, the tempered likelihood, (n,)."""
        problem = self.problem
        if self.spectrum is None:
            has_noise = Cap.RESIDUAL in problem.caps
            power = 1 / (1 + variance / problem.sigma_y**2) if has_noise else 1.0
            return power * problem.log_likelihood(x_0, y)
        pulled = problem.operator.adjoint(problem.residual(x_0, y), y)
        misfit = self.spectrum.coordinates(pulled) / singular.where(singular > 0, torch.inf)
        total = problem.sigma_y**2 + variance * singular.square()
        return -(misfit.square() / total).flatten(1).sum(1) / 2
