"""MPGD: manifold preserving guided diffusion. He et al., ICLR 2024.

https://arxiv.org/abs/2311.16424

Deviations:
- The state is x_t = x + sigma eps; the released step c / sqrt(abar) on E[x | x_t] is c sqrt(1 + sigma_next^2) here.
- The autoencoder that projects on the manifold is left out, as in the released runs in pixel space.
- `scale_size` takes a step from images of another size: it is multiplied by sqrt(d / scale_size) for images of d
  numbers, which keeps the displacement of a pixel. The released images have 3 x 256 x 256 = 196608 numbers.
- Other num_steps than 1000 rescale the schedule's end points; noise levels above the prior's largest are cut to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, LogUniform, Prior, Problem, Random, Search, Uniform
from bench.numerics.diffusion import ddpm_sigmas
from bench.numerics.steps import ddim_step

__all__ = ["MPGD"]


@dataclass(frozen=True)
class MPGD:
    """DDIM steps in which E[x | x_t] moves down the gradient of the residual, without a derivative of the denoiser.

    A sample costs a row through the denoiser for each step.

    Not exact: with eta = 1 the step is that of DPS with zeta = scale / 2 and the identity in place of the derivative of
    E[x | x_t] in the papers' state, sqrt(abar) x_t. With `scale = 0` samples are unguided.
    """

    kind: ClassVar[Kind] = "guidance"
    needs: ClassVar[Cap] = Cap.DENOISER | Cap.RESIDUAL | Cap.GRAD
    search: ClassVar[Search] = {"scale": LogUniform(0.001, 10.0), "eta": Uniform(0.0, 1.0)}

    num_steps: int = 100  # one for each noise level; at least 21
    scale: float = 0.1  # length c of the step down the gradient of the residual's norm
    scale_size: int = 0  # numbers in the images for which `scale` was chosen; 0: it is not rescaled
    eta: float = 0.5  # fresh noise: 1 is the ancestral step, 0 the ODE

    def __post_init__(self) -> None:
        ddpm_sigmas(self.num_steps)
        for name in ("scale", "scale_size"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number >= 0")
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta = {self.eta}: expected a number in [0, 1]")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(self.num_steps, 0)

    @torch.no_grad()
    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, shape = len(y), prior.shape
        scale = self.scale * math.sqrt(math.prod(shape) / (self.scale_size or math.prod(shape)))
        y = y.repeat_interleave(num_samples, 0)
        sigmas = ddpm_sigmas(self.num_steps, y.dtype).to(y.device).clamp_max(prior.sigma_range[1])
        sigmas = sigmas.flip(0)
        noises = (noise.flatten(0, 1) for noise in rng.per_sample.steps(len(sigmas), shape))

        x = (1 + sigmas[0].square()).sqrt() * next(noises)
        for sigma, sigma_next, noise in zip(sigmas[:-1], sigmas[1:], noises, strict=True):
            x_0 = prior.denoise(x, sigma)
            step = scale * (1 + sigma_next.square()).sqrt() * norm_gradient(problem, x_0, y)
            # the direction of the noise is that of the unguided E[x | x_t], so the step is taken after it
            x = ddim_step(x, x_0, sigma, sigma_next, self.eta, noise) - step
        return x.unflatten(0, (m, num_samples))


def norm_gradient(problem: Problem, x: Tensor, y: Tensor) -> Tensor:
    """Return the gradient in x of ||y - A(x)|| row by row, (n, *x); zero where the residual is."""
    with torch.enable_grad():
        point = x.detach().requires_grad_()
        residual = problem.residual(point, y)
        (gradient,) = torch.autograd.grad(residual, point, residual.detach())
    norm = residual.detach().flatten(1).norm(dim=1).clamp_min(torch.finfo(x.dtype).tiny ** 0.5)
    return gradient / norm.view(-1, *[1] * (x.dim() - 1))
