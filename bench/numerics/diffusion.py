"""Noise levels, ancestral steps and ODE steps, all in the convention x_t = x + sigma eps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def ddpm_sigmas(num_steps: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return noise levels sigma_0 = 0 < ... < sigma_N of the linear-beta DDPM schedule, (N + 1,).

    sigma_i^2 = (1 - abar_i) / abar_i; for N != 1000 the end points of beta are scaled by 1000 / N, which keeps the
    total amount of noise. Ho et al. 2020, https://arxiv.org/abs/2006.11239
    """
    if num_steps < 21:
        raise ValueError(
            f"num_steps = {num_steps}: the linear-beta schedule needs at least 21, or beta would pass 1"
        )
    beta = torch.linspace(0.1 / num_steps, 20 / num_steps, num_steps, dtype=torch.float64)
    log_abar = torch.cat([torch.zeros(1, dtype=torch.float64), torch.log1p(-beta).cumsum(0)])
    return torch.expm1(-log_abar).sqrt().to(dtype)


def ancestral_step(
    x_t: Tensor, x_0: Tensor, sigma: Tensor, sigma_next: Tensor, noise: Tensor
) -> Tensor:
    """Draw from q(x_next | x_t, x_0), sigma_next < sigma: DDPM's step with its posterior variance, in x + sigma eps."""
    ratio = (sigma_next / sigma).square().to(x_t.dtype)
    return torch.lerp(x_0, x_t, ratio).addcmul_(
        (sigma_next * (1 - ratio).sqrt()).to(x_t.dtype), noise
    )


def rk4(velocity: Callable[[Tensor, Tensor], Tensor], state: Tensor, grid: Tensor) -> Tensor:
    """Solve dx/dt = velocity(x, t) along `grid` (num_steps + 1,) by Runge-Kutta of order 4; four evaluations a step."""
    for t, t_next in zip(grid[:-1], grid[1:], strict=True):
        h = t_next - t
        k1 = velocity(state, t)
        k2 = velocity(state + h / 2 * k1, t + h / 2)
        k3 = velocity(state + h / 2 * k2, t + h / 2)
        k4 = velocity(state + h * k3, t_next)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return state


def karras_sigmas(
    num_steps: int, sigma_min: float, sigma_max: float, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Return noise levels sigma_max = sigma_0 > ... > sigma_{N-1} = sigma_min > sigma_N = 0, (N + 1,).

    Steps are equal in sigma^(1/7). Karras et al. 2022, https://arxiv.org/abs/2206.00364, eq. 5
    """
    ramp = (
        torch.linspace(sigma_max ** (1 / 7), sigma_min ** (1 / 7), num_steps, dtype=torch.float64)
        ** 7
    )
    return torch.cat([ramp, torch.zeros(1, dtype=torch.float64)]).to(dtype)


def heun_step(
    denoise: Callable[[Tensor, Tensor], Tensor], x_t: Tensor, sigma: Tensor, sigma_next: Tensor
) -> Tensor:
    """Take a step of the probability-flow ODE dx/dsigma = (x - D(x, sigma)) / sigma, to a noise level above 0.

    x_t (n, *x); noise levels () or broadcast to the shape of x_t. Karras et al. 2022, algorithm 1
    """
    slope = (x_t - denoise(x_t, sigma)) / sigma
    euler = x_t + (sigma_next - sigma) * slope
    return (
        x_t + (sigma_next - sigma) * (slope + (euler - denoise(euler, sigma_next)) / sigma_next) / 2
    )


def heun(denoise: Callable[[Tensor, Tensor], Tensor], x_t: Tensor, sigmas: Tensor) -> Tensor:
    """Solve the probability-flow ODE along `sigmas` (N + 1,) that end at 0, by 2 N - 1 evaluations."""
    for sigma, sigma_next in zip(sigmas[:-2], sigmas[1:-1], strict=True):
        x_t = heun_step(denoise, x_t, sigma, sigma_next)
    return x_t + (sigmas[-1] - sigmas[-2]) * ((x_t - denoise(x_t, sigmas[-2])) / sigmas[-2])
