"""The density of a diffusion model, by its probability-flow ODE and an estimate of the divergence.

Grathwohl et al., FFJORD, ICLR 2019, https://arxiv.org/abs/1810.01367; Song et al., Score-Based Generative Modeling
through Stochastic Differential Equations, ICLR 2021, https://arxiv.org/abs/2011.13456, appendix D.2
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bench.numerics.diffusion import rk4

Denoiser = Callable[[Tensor, Tensor], Tensor]  # x_t (n, *x), sigma () -> E[x | x_t] (n, *x)


def flow_log_prob(
    denoise: Denoiser, x: Tensor, limits: tuple[float, float], num_steps: int, probe: Tensor
) -> Tensor:
    """Return log p(x; sigma_min) in nats (n,) of images x (n, *x), under a model that starts at N(0, sigma_max^2 I).

    limits: sigma_min and sigma_max. probe (n, *x): signs, +1 or -1, for Hutchinson's unbiased estimate of the
    divergence. The ODE d x / d log sigma = x - D(x, sigma) and the divergence are integrated together by Runge-Kutta of
    order 4; a step costs four rows forward and four backward per image.
    """
    shape, sigma_max = x.shape[1:], limits[1]
    grid = torch.linspace(
        math.log(limits[0]), math.log(limits[1]), num_steps + 1, dtype=torch.float64
    )

    def velocity(state: Tensor, log_sigma: Tensor) -> Tensor:
        with torch.enable_grad():
            x_t = state[:, :-1].unflatten(1, shape).detach().requires_grad_()
            denoised = denoise(x_t, log_sigma.exp().to(x_t))
            (pulled,) = torch.autograd.grad(denoised, x_t, probe)
        trace = (pulled * probe).flatten(1).sum(1, keepdim=True)
        slope = (x_t - denoised).detach().flatten(1)
        return torch.cat([slope, math.prod(shape) - trace], 1)

    start = torch.cat([x.flatten(1), x.new_zeros(len(x), 1)], 1)
    end = rk4(velocity, start, grid).double()
    scaled, gain = end[:, :-1] / sigma_max, end[:, -1]
    per_pixel = math.log(2 * math.pi) / 2 + math.log(sigma_max)
    return gain - scaled.square().sum(1) / 2 - scaled.shape[1] * per_pixel
