"""RED-diff: a variational perspective on solving inverse problems with diffusion models. Mardani et al., ICLR 2024.

https://arxiv.org/abs/2305.04391

Deviations:
- The state is x_t = x + sigma eps; the released weight, linear in sigma, times the noise's error is the error of
  E[x | x_t] here. Both terms are means over their numbers, as released, and the noise of the measurement is never used.
- The first image is A^+ y where the operator has a spectrum, else zeros. Singular values up to 0.03 of the largest are
  zero in A^+, since they would amplify the noise; the release has that bound for blurs, on rows and columns apart.
- Other num_steps than 1000 rescale the schedule's end points, where the release takes every k-th of its 1000 levels.
  Levels above the prior's largest are cut to it, and those below its smallest raised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, LogUniform, Prior, Problem, Random, Search, Shape
from bench.numerics.coordinates import coordinates_of
from bench.numerics.diffusion import ddpm_sigmas

__all__ = ["REDDiff"]

SPECTRAL = Cap.LINEAR | Cap.SPECTRUM
LEAST = 0.03  # singular value that counts in A^+, over the largest


@dataclass(frozen=True)
class REDDiff:
    """An image that fits the measurement and is near its own denoised versions, by Adam over falling noise levels.

    A sample costs a row through the denoiser for each step.

    Not exact: samples are near a mode and differ only by the optimiser's noise, so their spread is meaningless.
    """

    kind: ClassVar[Kind] = "control"
    needs: ClassVar[Cap] = Cap.DENOISER | Cap.RESIDUAL | Cap.GRAD
    uses: ClassVar[Cap] = SPECTRAL
    search: ClassVar[Search] = {
        "weight": LogUniform(1e-3, 10.0),
        "learning_rate": LogUniform(1e-3, 10.0),
    }
    tiny: ClassVar[dict[str, object]] = {"num_steps": 50}

    num_steps: int = 1000  # of Adam, one for each noise level; at least 21
    weight: float = 0.25  # lambda, of the prior's term
    learning_rate: float = 0.1  # of Adam

    def __post_init__(self) -> None:
        ddpm_sigmas(self.num_steps)
        if self.weight < 0 or self.learning_rate <= 0:
            raise ValueError(
                f"weight = {self.weight}, learning_rate = {self.learning_rate}: expected weight >= 0, learning_rate > 0"
            )

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(self.num_steps, 0)

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, shape = len(y), prior.shape
        y = y.repeat_interleave(num_samples, 0)
        sigmas = ddpm_sigmas(self.num_steps, y.dtype).to(y.device).clamp(*prior.sigma_range)
        noises = (noise.flatten(0, 1) for noise in rng.per_sample.steps(self.num_steps, shape))

        x = y.new_zeros(len(y), *shape)
        if SPECTRAL in problem.caps:
            x = pseudo_inverse(problem, y, shape)
        adam = torch.optim.Adam([x], self.learning_rate, betas=(0.9, 0.99))
        for sigma, noise in zip(sigmas.flip(0)[:-1], noises, strict=True):
            with torch.no_grad():
                error = x - prior.denoise(x + sigma * noise, sigma)
            x.grad = self.weight * error / math.prod(shape) + misfit_gradient(problem, x, y)
            adam.step()
        return x.unflatten(0, (m, num_samples))


def pseudo_inverse(problem: Problem, y: Tensor, x_shape: Shape) -> Tensor:
    """Return A^+ y of measurements (n, *y), (n, *x), without small singular values; needs `SPECTRAL` and RESIDUAL."""
    measured = coordinates_of(problem, y, x_shape)
    largest = measured.singular.flatten(1).amax(1).view(-1, *[1] * len(x_shape))
    counts = measured.singular > LEAST * largest
    return measured.spectrum.image(measured.values.where(counts, 0))


def misfit_gradient(problem: Problem, x: Tensor, y: Tensor) -> Tensor:
    """Return the gradient in x of half the mean square of y - A(x), row by row, (n, *x)."""
    with torch.enable_grad():
        point = x.detach().requires_grad_()
        residual = problem.residual(point, y)
        (gradient,) = torch.autograd.grad(residual, point, residual.detach())
    return gradient / residual[0].numel()
