"""DAPS: decoupled annealing posterior sampling. Zhang et al., CVPR 2025.

https://arxiv.org/abs/2407.01521

At each noise level an image is drawn from p(y | x) N(x; x_0, r^2 I), with x_0 an estimate of the image from the state,
and noise of the next level is added to it: errors of one level are forgotten at the next.

Deviations:
- The draw is exact, for linear A. `inner = "langevin"` takes the paper's unadjusted Langevin steps, for any likelihood.
- r^2 = sigma^2 tau^2 / (sigma^2 + tau^2) with tau = `prior_std`, the variance of p(x | x_t) under N(0, tau^2 I);
  `prior_std = 0` is the paper's r = sigma.
- The likelihood is the problem's. `beta = "released"` is the released one: 0.01 in place of sigma_y, and no factor 1/2
  before the squared norm, so that it assumes a noise of 0.01 / sqrt(2).
- x_0 is E[x | x_t], the mean of the distribution that the Gaussian stands for. The paper takes five Euler steps of the
  ODE, `num_ode_steps = 5`, whose end is a mode rather than a mean. Its last step ends at noise zero.
- Levels end at 0.05, where the paper's end at 0.1; the last draw is the sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, LogUniform, Prior, Problem, Random, Search
from bench.numerics.conditioning import conditioning, langevin
from bench.numerics.diffusion import karras_sigmas

__all__ = ["DAPS"]

RELEASED_BETA = 0.01 / math.sqrt(2)
LAST_STEP = 0.01  # of Langevin steps at the last level, over those at the first

# x_0, r^2, the level's number -> a draw
Draw = Callable[[Tensor, Tensor, int], Tensor]


@dataclass(frozen=True)
class DAPS:
    """Draws from a Gaussian approximation of p(x | x_t, y), with fresh noise of the next level added to each.

    A sample costs `num_ode_steps` rows through the denoiser for each level, and none back.
    Exact when the prior is N(0, prior_std^2 I), with one step of the ODE and `inner = "exact"`, for any number of
    levels.
    """

    uses: ClassVar[Cap] = Cap.SPECTRUM
    kind: ClassVar[Kind] = "split"
    search: ClassVar[Search] = {"prior_std": LogUniform(0.05, 30.0)}
    tiny: ClassVar[dict] = {"num_levels": 20, "num_langevin": 10}

    num_levels: int = 200
    sigma_max: float = 100.0  # noise levels, in data units; equal steps in sigma^(1/7)
    sigma_min: float = 0.05
    num_ode_steps: int = 1  # Euler's; one gives x_0 = E[x | x_t], the paper has 5
    ode_sigma_min: float = 0.01  # where the last of them begins
    prior_std: float = 0.5  # tau, the standard deviation of a pixel under the prior; 0: r = sigma
    inner: Literal["exact", "langevin"] = "exact"
    num_langevin: int = 100  # steps a level
    # of Langevin steps at the first level; falls in proportion to the levels left. They diverge where step times
    # 1 / sigma_y^2 + 1 / r^2 exceeds 2 (with A A^T = I)
    step: float = 1e-4
    beta: Literal["sigma_y", "released"] = "sigma_y"  # noise that the likelihood assumes

    def __post_init__(self) -> None:
        for name in ("num_levels", "num_ode_steps", "num_langevin"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: expected 1 or more")
        for name in ("sigma_min", "ode_sigma_min", "step"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number > 0")
        if self.sigma_max < self.sigma_min:
            raise ValueError(f"sigma_max = {self.sigma_max}: expected sigma_min or more")
        if self.prior_std < 0:
            raise ValueError(f"prior_std = {self.prior_std}: expected a number >= 0")
        if self.inner not in ("exact", "langevin"):
            raise ValueError(f"inner = {self.inner!r}: expected 'exact' or 'langevin'")
        if self.beta not in ("sigma_y", "released"):
            raise ValueError(f"beta = {self.beta!r}: expected 'sigma_y' or 'released'")

    @property
    def needs(self) -> Cap:
        if self.inner == "exact":
            return Cap.DENOISER | Cap.RESIDUAL | Cap.LINEAR
        return Cap.DENOISER | Cap.GRAD | (Cap.RESIDUAL if self.beta == "released" else Cap.NONE)

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(self.num_levels * self.num_ode_steps, 0)

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, size = len(y), math.prod(prior.shape)
        draw, noises = self._inner(problem, y.repeat_interleave(num_samples, 0), prior, rng)
        levels = self._levels(prior, y)
        x_t = levels[0, 0] * next(noises)[:, :size].unflatten(1, prior.shape)
        for i, grid in enumerate(levels):
            x_0 = x_t
            for sigma, sigma_next in zip(grid[:-1], grid[1:], strict=True):
                x_0 = torch.lerp(prior.denoise(x_0, sigma), x_0, sigma_next / sigma)
            x_t = draw(x_0, self._variance(grid[0]), i)
            if i + 1 < len(levels):
                noise = next(noises)[:, :size].view_as(x_t)
                x_t = x_t + levels[i + 1, 0] * noise
        return x_t.unflatten(0, (m, num_samples))

    def _levels(self, prior: Prior, y: Tensor) -> Tensor:
        """Return the ODE's noise levels (num_levels, num_ode_steps + 1): each row ends at 0, and begins at a level."""
        low, high = prior.sigma_range
        sigma_max, last = min(high, self.sigma_max), max(low, self.ode_sigma_min)
        sigmas = karras_sigmas(self.num_levels, min(self.sigma_min, sigma_max), sigma_max)[:-1]
        rows = [
            karras_sigmas(self.num_ode_steps, min(last, sigma), sigma) for sigma in sigmas.tolist()
        ]
        return torch.stack(rows).to(y.dtype).to(y.device)

    def _variance(self, sigma: Tensor) -> Tensor:
        """Return r^2, the variance of the Gaussian in every direction."""
        precision = 1 / sigma.square()
        return 1 / (precision + 1 / self.prior_std**2 if self.prior_std else precision)

    def _inner(
        self, problem: Problem, y: Tensor, prior: Prior, rng: Random
    ) -> tuple[Draw, Iterator[Tensor]]:
        """Return the draw at each level, and noise for it and for all else, (n, size or more) each."""
        if self.inner == "exact":
            beta = RELEASED_BETA if self.beta == "released" else problem.sigma_y
            given = conditioning(problem, y, prior.shape, beta)
            noises = self._noises(rng, 2 * self.num_levels, given.noise_shape)
            return lambda x_0, variance, _: given.draw(x_0, variance, next(noises)), noises
        weight = (problem.sigma_y / RELEASED_BETA) ** 2 if self.beta == "released" else 1.0
        noises = self._noises(
            rng, self.num_levels * (self.num_langevin + 1), (math.prod(prior.shape),)
        )

        def draw(x_0: Tensor, variance: Tensor, i: int) -> Tensor:
            step = self.step * (1 - (1 - LAST_STEP) * i / self.num_levels)
            images = (noise.view_as(x_0) for noise in islice(noises, self.num_langevin))
            return langevin(problem, y, x_0, variance, step, images, weight)

        return draw, noises

    def _noises(self, rng: Random, num: int, shape: tuple[int, ...]) -> Iterator[Tensor]:
        return (noise.flatten(0, 1) for noise in rng.per_sample.steps(num, shape))
