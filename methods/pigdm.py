"""PiGDM: pseudoinverse-guided diffusion models for inverse problems. Song, Vahdat, Mardani & Kautz, ICLR 2023.

https://openreview.net/forum?id=9_gsMA8MRKQ
Without the Jacobian it is CoDPS+ (Yismaw et al. 2024, https://arxiv.org/abs/2409.08906); at the state itself it is DMPS
(Meng & Kabashima 2022, https://arxiv.org/abs/2211.12343).

p(x | x_t) is taken for N(D, r^2 I), D = E[x | x_t], so that p(y | x_t) is N(A D, r^2 A A^T + sigma_y^2 I).

Deviations:
- r^2 = sigma^2 tau^2 / (sigma^2 + tau^2) with tau = `prior_std`; the paper has tau = 1, for images with larger pixels.
- The gradient g of log p(y | x_t) enters as the score does, through D + sigma^2 g. `weighting = "released"` adds r^2 g
  to the state after the step, as the released code does.
- Steps are equal in sigma^(1/7); the denoised image is not clipped; the start is noise alone.
- The measurement's noise is used, where the released code is for measurements without any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, LogUniform, Prior, Problem, Random, Search, Uniform
from bench.numerics.conditioning import Conditioning, conditioning
from bench.numerics.diffusion import karras_sigmas
from bench.numerics.steps import ddim_step

__all__ = ["PiGDM"]


@dataclass(frozen=True)
class PiGDM:
    """DDIM steps with E[x | x_t] moved by the gradient of a Gaussian approximation of p(y | x_t).

    A sample costs one row through the denoiser for each step, and one back where the Jacobian is the network's.
    Exact when the prior is N(0, prior_std^2 I), with `weighting = "score"`, as the number of steps grows; at the state
    itself (DMPS) only for a flat prior.
    """

    kind: ClassVar[Kind] = "guidance"
    needs: ClassVar[Cap] = Cap.DENOISER | Cap.RESIDUAL | Cap.LINEAR
    uses: ClassVar[Cap] = Cap.SPECTRUM
    search: ClassVar[Search] = {"prior_std": LogUniform(0.05, 30.0), "eta": Uniform(0.0, 1.0)}
    tiny: ClassVar[dict] = {"num_steps": 25}

    num_steps: int = 100
    sigma_max: float = 100.0  # noise levels, in data units
    sigma_min: float = 0.01
    eta: float = 1.0  # 1: ancestral steps, 0: Euler's on the probability-flow ODE
    prior_std: float = 0.5  # tau, the standard deviation of a pixel under the prior
    # of E[x | x_t]: the network's own, or r^2 / sigma^2 in its place (CoDPS+), without a backward pass
    jacobian: Literal["full", "scalar"] = "full"
    # what y is compared with: A E[x | x_t], or A x_t with r = sigma (DMPS), where neither Jacobian nor tau enters
    point: Literal["denoised", "state"] = "denoised"
    weighting: Literal["score", "released"] = "score"  # of the gradient, see above

    def __post_init__(self) -> None:
        if self.num_steps < 1:
            raise ValueError(f"num_steps = {self.num_steps}: expected 1 or more")
        if not 0 < self.sigma_min <= self.sigma_max:
            raise ValueError(f"sigma_min = {self.sigma_min}: expected 0 < sigma_min <= sigma_max")
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta = {self.eta}: expected a number in [0, 1]")
        if self.prior_std <= 0:
            raise ValueError(f"prior_std = {self.prior_std}: expected a number > 0")
        if self.jacobian not in ("full", "scalar"):
            raise ValueError(f"jacobian = {self.jacobian!r}: expected 'full' or 'scalar'")
        if self.point not in ("denoised", "state"):
            raise ValueError(f"point = {self.point!r}: expected 'denoised' or 'state'")
        if self.weighting not in ("score", "released"):
            raise ValueError(f"weighting = {self.weighting!r}: expected 'score' or 'released'")

    @property
    def _differentiates(self) -> bool:
        return self.jacobian == "full" and self.point == "denoised"

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(self.num_steps, self.num_steps * self._differentiates)

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
            variance = self._variance(sigma)
            x_0, gradient = self._guide(prior, given, x_t, sigma, variance)
            if self.weighting == "score":
                x_0 = x_0 + sigma.square() * gradient
            x_t = ddim_step(x_t, x_0, sigma, sigma_next, self.eta, noise)
            if self.weighting == "released":
                x_t = x_t + variance * gradient
        return x_t.unflatten(0, (m, num_samples))

    def _variance(self, sigma: Tensor) -> Tensor:
        """Return r^2, the variance of p(x | x_t) in every direction."""
        if self.point == "state":
            return sigma.square()
        return 1 / (1 / sigma.square() + 1 / self.prior_std**2)

    def _guide(
        self, prior: Prior, given: Conditioning, x_t: Tensor, sigma: Tensor, variance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return E[x | x_t], and the gradient of log p(y | x_t) in x_t."""
        with torch.set_grad_enabled(self._differentiates):
            x_t = x_t.detach().requires_grad_(self._differentiates)
            x_0 = prior.denoise(x_t, sigma)
        point = x_0.detach() if self.point == "denoised" else x_t
        gradient = given.gain(given.problem.residual(point, given.y), variance)
        if self._differentiates:
            (gradient,) = torch.autograd.grad(x_0, x_t, gradient)
        elif self.point == "denoised":
            gradient = variance / sigma.square() * gradient
        return x_0.detach(), gradient
