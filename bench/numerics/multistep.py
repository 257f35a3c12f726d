"""A multistep solver of the probability-flow ODE, in the convention x_t = x + sigma eps."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def geometric_sigmas(num_steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Return noise levels from sigma_max down to sigma_min, evenly spaced in log sigma, (num_steps,) float64."""
    ends = math.log(sigma_max), math.log(sigma_min)
    return torch.linspace(*ends, num_steps, dtype=torch.float64).exp()


def dpm_solver(denoise: Callable[[Tensor, Tensor], Tensor], x_t: Tensor, sigmas: Tensor) -> Tensor:
    """Follow the ODE along `sigmas` (N,), falling, then to 0: x_t (n, *x) -> (n, *x), by N evaluations.

    DPM-Solver++(2M): between two levels the denoised image is extrapolated linearly in log sigma from the last two, and
    the linear part of the ODE is integrated exactly. The last step, to 0, returns the denoised image.
    Lu et al., DPM-Solver++, 2022, algorithm 2. https://arxiv.org/abs/2211.01095
    """
    before, last_step = None, 0.0
    for sigma, sigma_next in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        denoised = denoise(x_t, torch.as_tensor(sigma, dtype=x_t.dtype, device=x_t.device))
        step = math.log(sigma / sigma_next)
        halfway = denoised
        if before is not None:
            halfway = denoised + (denoised - before) * (step / (2 * last_step))
        x_t = torch.lerp(halfway, x_t, sigma_next / sigma)
        before, last_step = denoised, step
    return denoise(x_t, sigmas[-1].to(x_t))
