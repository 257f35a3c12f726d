"""Two families of steps from noise level sigma to sigma_next, x_t = x + sigma eps; the third one is `ancestral_step`.

Each takes an estimate x_0 of E[x | x_t] or of E[x | x_t, y], and standard normal `noise` (n, *x). Both return x_0 for
sigma_next = 0.
"""

from __future__ import annotations

import math

from torch import Tensor


def ddim_step(
    x_t: Tensor, x_0: Tensor, sigma: Tensor, sigma_next: Tensor, eta: float, noise: Tensor
) -> Tensor:
    """Take DDIM's step: eta = 1 is the ancestral step, eta = 0 Euler's on the probability-flow ODE.

    The fresh noise is eta times that of the ancestral step. Song et al. 2021, https://arxiv.org/abs/2010.02502, eq. 16
    """
    fresh = eta * sigma_next * (1 - (sigma_next / sigma).square()).sqrt()
    kept = (sigma_next.square() - fresh.square()).clamp_min(0).sqrt() / sigma
    return x_0 + kept.to(x_t) * (x_t - x_0) + fresh.to(x_t) * noise


def renoise_step(
    x_t: Tensor, x_0: Tensor, sigma: Tensor, sigma_next: Tensor, eta: float, noise: Tensor
) -> Tensor:
    """Take a step that replaces the share eta^2 of the noise's variance: eta = 1 forgets x_t, eta = 0 is Euler's step.

    The step of DDRM, DDNM and DiffPIR (whose zeta is eta^2). Kawar et al. 2022, https://arxiv.org/abs/2201.11793
    """
    kept = (math.sqrt(1 - eta**2) * sigma_next / sigma).to(x_t)
    return x_0 + kept * (x_t - x_0) + (eta * sigma_next).to(x_t) * noise
