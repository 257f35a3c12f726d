"""DiffPIR: denoising diffusion models for plug-and-play image restoration. Zhu et al., CVPR workshops 2023.

https://arxiv.org/abs/2305.08995

Half-quadratic splitting along the noise levels: with D = E[x | x_t], x_0 minimises ||y - A x||^2 / sigma_y^2 +
||x - D||^2 / r^2 and noise of the next level is added, of which the share zeta is fresh.

Deviations:
- r^2 = sigma^2 tau^2 / (sigma^2 + tau^2) / lam with tau = `prior_std`; `prior_std = 0` is the paper's sigma^2 / lam.
- Images are in [-1, 1], where the release has [0, 1] and noise levels of half the size: its lambda is 4 `lam`.
- The minimum is exact for any linear A, where the release assumes that blurs are circular; the last step has one, too.
- Steps are equal in sigma^(1/7), where the release has a quadratic grid of the 1000 levels of DDPM.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from bench.core.types import NFE, Cap, Kind, LogUniform, Prior, Problem, Random, Search, Uniform
from bench.numerics.conditioning import conditioning
from bench.numerics.diffusion import karras_sigmas
from bench.numerics.steps import renoise_step

__all__ = ["DiffPIR"]


@dataclass(frozen=True)
class DiffPIR:
    """At each level: denoising, a proximal step towards the measurement, and noise of the next level.

    A sample costs one row through the denoiser for each step, and none back.
    Exact when the prior is N(0, prior_std^2 I), lam is 1 and zeta is 0, as the number of steps grows. With fresh noise
    (zeta above 0) samples spread too little even there, since each level starts from a conditional mean, not a draw.
    """

    kind: ClassVar[Kind] = "split"
    needs: ClassVar[Cap] = Cap.DENOISER | Cap.RESIDUAL | Cap.LINEAR
    uses: ClassVar[Cap] = Cap.SPECTRUM
    search: ClassVar[Search] = {"lam": LogUniform(0.03, 100.0), "zeta": Uniform(0.0, 1.0)}
    tiny: ClassVar[dict] = {"num_steps": 25}

    num_steps: int = 100
    sigma_max: float = 100.0  # noise levels, in data units
    sigma_min: float = 0.01
    lam: float = 1.0  # weight of the denoised image
    zeta: float = 1.0  # share of the noise's variance that is fresh
    # tau, the standard deviation of a pixel under the prior; 0: r^2 = sigma^2 / lam
    prior_std: float = 0.5

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ValueError(f"num_steps = {self.num_steps}: expected 1 or more")
        if not 0 < self.sigma_min <= self.sigma_max:
            raise ValueError(f"sigma_min = {self.sigma_min}: expected 0 < sigma_min <= sigma_max")
        if self.lam <= 0:
            raise ValueError(f"lam = {self.lam}: expected a number > 0")
        if not 0 <= self.zeta <= 1:
            raise ValueError(f"zeta = {self.zeta}: expected a number in [0, 1]")
        if self.prior_std < 0:
            raise ValueError(f"prior_std = {self.prior_std}: expected a number >= 0")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(self.num_steps, 0)

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, shape = len(y), prior.shape
        given = conditioning(problem, y.repeat_interleave(num_samples, 0), shape)
        low, high = prior.sigma_range
        sigmas = karras_sigmas(
            self.num_steps, max(low, self.sigma_min), min(high, self.sigma_max), y.dtype
        ).to(y.device)
        noises = (noise.flatten(0, 1) for noise in rng.per_sample.steps(len(sigmas), shape))

        x_t = sigmas[0] * next(noises)
        for sigma, sigma_next, noise in zip(sigmas[:-1], sigmas[1:], noises, strict=True):
            x_0 = given.mean(prior.denoise(x_t, sigma), self._variance(sigma))
            x_t = renoise_step(x_t, x_0, sigma, sigma_next, math.sqrt(self.zeta), noise)
        return x_t.unflatten(0, (m, num_samples))

    def _variance(self, sigma: Tensor) -> Tensor:
        """Return r^2, the variance around E[x | x_t] that the proximal step assumes in every direction."""
        precision = 1 / sigma.square()
        precision = precision + 1 / self.prior_std**2 if self.prior_std else precision
        return 1 / (self.lam * precision)
