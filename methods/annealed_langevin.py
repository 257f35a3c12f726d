"""Annealed Langevin dynamics for compressed sensing. Jalal et al., NeurIPS 2021, Algorithm 1.

https://arxiv.org/abs/2108.01368

Deviations:
- The likelihood at noise level sigma is N(y; A x, (sigma_y^2 + sigma^2 c) I), c the largest eigenvalue of A A^T: right
  for a flat prior where A A^T = c I. The released code has no sigma_y, and some rescale the term to the score's.
- Noise levels are geometric between `sigma_max` and `sigma_min`, cut to those of the prior; chains start from noise
  of the first level.
- The last state is returned as it is, with the noise of `sigma_min`, as released.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, Prior, Problem, Random, Search, Shape, Uniform
from bench.numerics.clouds import geometric_sigmas

__all__ = ["AnnealedLangevin"]

NUM_POWER = 30  # iterations for the largest eigenvalue


@dataclass(frozen=True)
class AnnealedLangevin:
    """Unadjusted Langevin steps at falling noise levels, on the prior's score and a widened likelihood.

    A sample costs a row through the denoiser for each step, `num_levels` times `num_inner` in all.

    Exact when many small steps are taken at the last level and `sigma_min` goes to zero, for linear operators. At a
    single level, the covariance to which the chain converges is known in closed form for a Gaussian prior.
    """

    kind: ClassVar[Kind] = "control"
    needs: ClassVar[Cap] = Cap.DENOISER | Cap.RESIDUAL | Cap.LINEAR
    search: ClassVar[Search] = {"step": Uniform(0.02, 0.9)}

    num_levels: int = 200  # noise levels
    num_inner: int = 3  # steps at each level
    step: float = 0.3  # step size divided by the squared noise level; 0.69 as released
    sigma_max: float = 10.0  # largest noise level, data units
    sigma_min: float = 0.01  # smallest noise level, data units

    def __post_init__(self) -> None:
        if self.num_levels < 1 or self.num_inner < 1:
            sizes = f"num_levels = {self.num_levels}, num_inner = {self.num_inner}"
            raise ValueError(f"{sizes}: expected num_levels >= 1 and num_inner >= 1")
        if not 0 < self.sigma_min <= self.sigma_max:
            levels = f"sigma_min = {self.sigma_min}, sigma_max = {self.sigma_max}"
            raise ValueError(f"{levels}: expected 0 < sigma_min <= sigma_max")
        # of the score and of the likelihood the curvature is at most 1 / sigma^2 each: unstable from 2 / (2 / sigma^2)
        if not 0 < self.step < 1:
            raise ValueError(
                f"step = {self.step}: expected a number in (0, 1), where chains are stable"
            )

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(self.num_levels * self.num_inner, 0)

    @torch.no_grad()
    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, shape = len(y), prior.shape
        gain = largest_gain(problem, y, shape).repeat_interleave(num_samples)
        gain = gain.view(-1, *[1] * len(shape))
        y = y.repeat_interleave(num_samples, 0)
        sigmas = geometric_sigmas(self.num_levels, self.sigma_max, self.sigma_min, y)[:-1]
        sigmas = sigmas.clamp(*prior.sigma_range).repeat_interleave(self.num_inner)
        noises = (noise.flatten(0, 1) for noise in rng.per_sample.steps(len(sigmas) + 1, shape))

        x = sigmas[0] * next(noises)
        for sigma, noise in zip(sigmas, noises, strict=True):
            step = self.step * sigma.square()
            pull = problem.operator.adjoint(problem.residual(x, y), y)
            drift = (prior.denoise(x, sigma) - x) / sigma.square()
            drift = drift + pull / (problem.sigma_y**2 + sigma.square() * gain)
            x = x + step * drift + (2 * step).sqrt() * noise
        return x.unflatten(0, (m, num_samples))


def largest_gain(problem: Problem, y: Tensor, x_shape: Shape) -> Tensor:
    """Return the largest eigenvalue of A^T A at y (m, *y), (m,), by power iterations from a ramp of brightness."""
    ramp = torch.linspace(1, 2, math.prod(x_shape), dtype=y.dtype, device=y.device)
    x = ramp.view(x_shape).expand(len(y), *x_shape)
    gain = y.new_zeros(len(y))
    for _ in range(NUM_POWER):
        image = problem.operator.adjoint(problem.operator(x, y), y)
        gain = image.flatten(1).norm(dim=1)
        x = image / gain.clamp_min(torch.finfo(x.dtype).tiny).view(-1, *[1] * (x.dim() - 1))
    return gain
