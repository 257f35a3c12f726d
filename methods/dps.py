"""DPS: diffusion posterior sampling for general noisy inverse problems. Chung et al., ICLR 2023, Algorithm 1.

https://arxiv.org/abs/2209.14687

Deviations:
- The state is x_t = x + sigma eps instead of the paper's sqrt(abar) x + sqrt(1 - abar) eps. With sigma^2 =
  (1 - abar) / abar the two differ by the factor sqrt(abar) and every step is the same to rounding.
- zeta_i = zeta / ||y - A(x_0)|| times the gradient of the *squared* norm, as printed; the released code takes the
  gradient of the norm, which is half of that.
- The noise of a step has the variance of x_{t-1} given x_t and x_0; the released networks give one of their own.
- The denoised image is not clipped.
- `zeta_size` takes a step size from images of another size: zeta is multiplied by sqrt(d / zeta_size) for images of d
  numbers. The gradient of the norm has length of order 1 whatever d is, so that a step moves each pixel by about
  zeta / sqrt(d): this keeps the displacement per pixel. The paper's images have 3 x 256 x 256 = 196608 numbers.
- Other num_steps than 1000 rescale the schedule's end points; noise levels above the prior's largest are cut to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, LogUniform, Prior, Problem, Random, Search
from bench.numerics.diffusion import ancestral_step, ddpm_sigmas

__all__ = ["DPS"]


@dataclass(frozen=True)
class DPS:
    """Ancestral sampling, pulled towards the measurement by the gradient of the residual of E[x | x_t].

    A sample costs one row through the denoiser and one back for each step.

    Not exact: the likelihood of x_t is taken to be that of E[x | x_t], and its gradient is divided by its norm.
    """

    needs: ClassVar[Cap] = Cap.DENOISER | Cap.RESIDUAL | Cap.GRAD
    kind: ClassVar[Kind] = "guidance"
    search: ClassVar[Search] = {"zeta": LogUniform(0.01, 10.0)}

    num_steps: int = 1000  # one for each noise level; at least 21
    zeta: float = 1.0  # the paper's step size zeta'
    # numbers in the images that zeta is meant for, 196608 in the paper; 0: in those at hand
    zeta_size: int = 0

    def __post_init__(self) -> None:
        ddpm_sigmas(self.num_steps)
        if self.zeta < 0:
            raise ValueError(f"zeta = {self.zeta}: expected a number >= 0")
        if self.zeta_size < 0:
            raise ValueError(f"zeta_size = {self.zeta_size}: expected a number >= 0")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(self.num_steps, self.num_steps)

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, shape = len(y), prior.shape
        zeta = self.zeta * math.sqrt(math.prod(shape) / (self.zeta_size or math.prod(shape)))
        y = y.repeat_interleave(num_samples, 0)
        sigmas = ddpm_sigmas(self.num_steps, y.dtype).to(y.device).clamp_max(prior.sigma_range[1])
        noises = (noise.flatten(0, 1) for noise in rng.per_sample.steps(len(sigmas), shape))

        x_t = (1 + sigmas[-1].square()).sqrt() * next(noises)
        for sigma, sigma_next, noise in zip(
            sigmas.flip(0)[:-1], sigmas.flip(0)[1:], noises, strict=True
        ):
            x_0, gradient, norm = self._guide(prior, problem, x_t, y, sigma)
            # the paper's step on sqrt(abar) x_t, times 1 / sqrt(abar) on both sides
            scale = ((1 + sigma.square()) * (1 + sigma_next.square())).sqrt()
            # where nothing is measured, norm and gradient are zero, and the step must stay finite
            step = 2 * scale * zeta / norm.clamp_min(torch.finfo(norm.dtype).tiny ** 0.5)
            x_t = ancestral_step(x_t, x_0, sigma, sigma_next, noise)
            x_t.addcmul_(step.view(-1, *[1] * len(shape)), gradient, value=-1)
        return x_t.unflatten(0, (m, num_samples))

    def _guide(
        self, prior: Prior, problem: Problem, x_t: Tensor, y: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return E[x | x_t], half the gradient of ||y - A(E[x | x_t])||^2 in x_t, and that norm, row by row."""
        with torch.enable_grad():
            x_t = x_t.detach().requires_grad_()
            x_0 = prior.denoise(x_t, sigma)
            residual = problem.residual(x_0, y)
            (gradient,) = torch.autograd.grad(residual, x_t, residual.detach())
        return x_0.detach(), gradient, residual.detach().flatten(1).norm(dim=1)
