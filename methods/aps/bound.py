"""The denoising bound of -log p(x). Song et al. 2021, https://arxiv.org/abs/2101.09258"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.core.types import Prior, Random
from bench.numerics.chunks import rows_of, with_gradient


def bound(
    prior: Prior,
    x: Tensor,
    sigmas: tuple[float, float],
    rng: Random,
    num_noises: int = 1,
    weighting_power: float = 0.0,
    through_denoiser: bool = True,
) -> Tensor:
    """Return the integral of `misfit` over log sigma, by `num_noises` random noises per row of x (n, *x), (n,).

    sigmas: smallest and largest noise level; levels are stratified over the batch. rng: of one stream.
    weighting_power: levels are weighted by sigma^power; only 0 gives the bound.
    """
    n, (sigma_min, sigma_max) = num_noises * len(x), sigmas
    x = x.repeat(num_noises, *[1] * len(prior.shape))
    stratified = (torch.arange(n, device=x.device) + rng.rand((n,))[0]) / n
    sigma = sigma_min * (sigma_max / sigma_min) ** stratified
    noise = rng.randn(tuple(x.shape))[0]
    values = with_gradient(
        lambda x, sigma, noise: misfit(prior, x, sigma, noise, through_denoiser),
        rows_of(prior.shape),
        x,
        sigma,
        noise,
    )
    weight = sigma**weighting_power
    return math.log(sigma_max / sigma_min) * (weight / weight.mean() * values).view(
        num_noises, -1
    ).mean(0)


def misfit(
    prior: Prior, x: Tensor, sigma: Tensor, noise: Tensor, through_denoiser: bool = True
) -> Tensor:
    """Return ||x - D(x + sigma noise, sigma)||^2 / sigma^2, (n,); its integral over log sigma bounds -log p(x).

    Let p_s be the density of x + s eps. As D - x_t = s^2 score, the heat equation and Stein's identity (I-MMSE) give
    d E log p_s(x + s eps) / d log s = E misfit - dim for the exact denoiser. From the smallest s to the largest, L,

        -E log p_min(x + s_min eps) = integral of E misfit d log s - dim log(L / s_min) - E log p_L(x + L eps),

    an upper bound for a learned denoiser. At large L the last term is dim / 2 log(2 pi e L^2) plus a small
    ||x - mean||^2 / (2 L^2), left out: -log p is the integral + dim / 2 log(2 pi e s_min^2).
    """
    column = sigma.view(-1, *[1] * (x.dim() - 1))
    with torch.set_grad_enabled(through_denoiser and torch.is_grad_enabled()):
        denoised = prior.denoise(x + column * noise, sigma)
    return ((x - denoised) / column).square().flatten(1).sum(1)
