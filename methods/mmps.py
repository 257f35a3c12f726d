"""MMPS: moment-matching posterior sampling. Rozet, Andry, Lanusse & Louppe, NeurIPS 2024, Algorithm 3.

https://arxiv.org/abs/2405.13712

p(x | x_t) is taken for N(D, sigma^2 J), D = E[x | x_t] and J its Jacobian: sigma^2 J is the true covariance. So
log p(y | x_t) has the gradient J^T A^T u, u the solution of (sigma_y^2 I + sigma^2 A J A^T) u = y - A D.

Deviations:
- Inner products of the solver are taken row by row; in the released code they run over the whole batch.
- J^T stands for J, which is symmetric for a true denoiser: all products are vector-Jacobian products.
- J^T A^T u is summed up from the products that the solver has made, which saves one of them a step.
- Steps are equal in sigma^(1/7); the denoised image is not clipped; the start is noise alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, Prior, Problem, Random, Search, Uniform
from bench.numerics.conditioning import minimal_residual
from bench.numerics.diffusion import karras_sigmas
from bench.numerics.steps import ddim_step

__all__ = ["MMPS"]


@dataclass(frozen=True)
class MMPS:
    """DDIM steps with E[x | x_t] moved by the gradient of a Gaussian approximation with the denoiser's own covariance.

    A sample costs one row through the denoiser and `num_solver` back for each step.
    Exact when the prior is any Gaussian and `num_solver` the number of measured values, as the number of steps grows.
    """

    kind: ClassVar[Kind] = "guidance"
    needs: ClassVar[Cap] = Cap.DENOISER | Cap.RESIDUAL | Cap.LINEAR
    search: ClassVar[Search] = {"eta": Uniform(0.0, 1.0)}
    tiny: ClassVar[dict] = {"num_steps": 25}

    num_steps: int = 100
    sigma_max: float = 100.0  # noise levels, in data units
    sigma_min: float = 0.01
    eta: float = 1.0  # 1: ancestral steps, 0: Euler's on the probability-flow ODE
    num_solver: int = 5  # iterations of GMRES a step

    def __post_init__(self) -> None:
        for name in ("num_steps", "num_solver"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: expected 1 or more")
        if not 0 < self.sigma_min <= self.sigma_max:
            raise ValueError(f"sigma_min = {self.sigma_min}: expected 0 < sigma_min <= sigma_max")
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta = {self.eta}: expected a number in [0, 1]")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(self.num_steps, self.num_steps * self.num_solver)

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, shape = len(y), prior.shape
        y = y.repeat_interleave(num_samples, 0)
        low, high = prior.sigma_range
        sigmas = karras_sigmas(
            self.num_steps, max(low, self.sigma_min), min(high, self.sigma_max), y.dtype
        ).to(y.device)
        noises = (noise.flatten(0, 1) for noise in rng.per_sample.steps(len(sigmas), shape))

        x_t = sigmas[0] * next(noises)
        for sigma, sigma_next, noise in zip(sigmas[:-1], sigmas[1:], noises, strict=True):
            x_0 = self._given_y(prior, problem, x_t, y, sigma)
            x_t = ddim_step(x_t, x_0, sigma, sigma_next, self.eta, noise)
        return x_t.unflatten(0, (m, num_samples))

    def _given_y(
        self, prior: Prior, problem: Problem, x_t: Tensor, y: Tensor, sigma: Tensor
    ) -> Tensor:
        """Return E[x | x_t, y] of the Gaussian approximation, (n, *x)."""
        operator, left = problem.operator, self.num_solver
        with torch.enable_grad():
            x_t = x_t.detach().requires_grad_()
            x_0 = prior.denoise(x_t, sigma)

        def apply(v: Tensor) -> tuple[Tensor, Tensor]:
            """Return M v, and sigma^2 J^T A^T v, which is the move of E[x | x_t] that belongs to v."""
            nonlocal left
            left -= 1
            (product,) = torch.autograd.grad(
                x_0, x_t, operator.adjoint(v, y), retain_graph=left > 0
            )
            move = sigma.square() * product
            return problem.sigma_y**2 * v + operator(move, y), move

        residual = problem.residual(x_0.detach(), y)
        return x_0.detach() + minimal_residual(apply, residual, self.num_solver)
