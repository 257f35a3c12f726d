"""A diffusion model as a prior: its network is the denoiser, its probability-flow ODE the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from bench.core.types import Cap, Random
from bench.numerics.multistep import dpm_solver, geometric_sigmas
from bench.priors import _networks as networks
from bench.priors.adapters.diffusers import Pipeline


class Denoiser(Protocol):
    """A network as E[x | x_t], float32."""

    @property
    def pipeline(self) -> Pipeline: ...
    @property
    def sigma_range(self) -> tuple[float, float]: ...
    def __call__(self, x_t: Tensor, sigma: Tensor) -> Tensor: ...  # (n, *x), () or (n,) -> (n, *x)


@dataclass(frozen=True, eq=False)
class Diffusion:
    """A denoiser network as a prior; it has float32 weights and computes in float32."""

    denoiser: Denoiser
    num_ode_steps: int

    caps: ClassVar[Cap] = Cap.DENOISER | Cap.DECODER

    @property
    def shape(self) -> tuple[int, ...]:
        return self.denoiser.pipeline.shape

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def sigma_range(self) -> tuple[float, float]:
        return self.denoiser.sigma_range

    @property
    def decode_nfe(self) -> int:
        return self.num_ode_steps

    @property
    def sample_nfe(self) -> int:
        return self.decode_nfe

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        """Draw from the prior, `(m, num_samples, *x)`: decoded noise."""
        return networks.draw(self, num_samples, rng)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x_t] for x_t = x + sigma eps: x_t (n, *x), sigma () or (n,) -> (n, *x)."""
        sigma = torch.as_tensor(sigma, dtype=torch.float32, device=x_t.device)
        return self.denoiser(x_t.float(), sigma).to(x_t.dtype)

    def decode(self, z: Tensor) -> Tensor:
        """Follow the probability-flow ODE from sigma_max z down to sigma = 0: (n, *z) -> (n, *x).

        The solver is DPM-Solver++(2M) on levels even in log sigma. For Gaussians of standard deviation 0.02 to 3, 20
        evaluations from sigma = 20 have an error of 1.5 %; Heun's method on EDM's levels would have 7 to 34 %.
        """
        sigmas = geometric_sigmas(self.num_ode_steps, *self.sigma_range)
        return dpm_solver(self.denoiser, self.sigma_range[1] * z.float(), sigmas).to(z.dtype)
