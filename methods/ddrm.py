"""DDRM: denoising diffusion restoration models. Kawar et al., NeurIPS 2022. DDNM+: Wang et al., ICLR 2023.

https://arxiv.org/abs/2201.11793 (DDRM), https://arxiv.org/abs/2212.00490 (DDNM+)

With eta_b = 1 the steps of DDNM+ by singular values, without time travel, are those of DDRM; only the first state
differs, `start = "noise"`.

Deviations:
- Noise levels are every k-th of the 1000 of the linear-beta schedule, the last one included; the release starts one
  k-th below it. Levels above the prior's largest are cut to it.
- sigma_y is the problem's, in data units. The releases give it on [0, 1] and double it: their 0.05 is 0.1 here.
- A coordinate whose noise level is exactly that of the step counts as seen; the release treats it as unseen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Kind, Prior, Problem, Random, Search, Uniform
from bench.numerics.coordinates import Coordinates, coordinates_of
from bench.numerics.diffusion import ddpm_sigmas
from bench.numerics.steps import renoise_step

__all__ = ["DDRM"]


@dataclass(frozen=True)
class DDRM:
    """Denoising steps; after each, singular coordinates with little noise in y are moved to the measurement.

    A sample costs a row through the denoiser for each step.

    Not exact: samples spread too little, even under a Gaussian prior. For measurements without noise, A(x) = y up to
    rounding; if nothing is measured, samples are draws of the unguided chain.
    """

    kind: ClassVar[Kind] = "split"
    needs: ClassVar[Cap] = Cap.DENOISER | Cap.RESIDUAL | Cap.LINEAR | Cap.SPECTRUM
    search: ClassVar[Search] = {"eta": Uniform(0.0, 1.0), "eta_b": Uniform(0.0, 1.0)}

    num_steps: int = 20
    # share of fresh noise, as a standard deviation, in coordinates that y does not fix
    eta: float = 0.85
    eta_b: float = 1.0  # weight of y where its noise is below that of the step
    # first state: at y where it is seen, or noise (DDNM+)
    start: Literal["measured", "noise"] = "measured"

    def __post_init__(self) -> None:
        if not 1 <= self.num_steps <= 1000:
            raise ValueError(f"num_steps = {self.num_steps}: expected 1 to 1000")
        if not 0 <= self.eta <= 1 or not 0 <= self.eta_b <= 1:
            raise ValueError(f"eta = {self.eta}, eta_b = {self.eta_b}: expected numbers in [0, 1]")
        if self.start not in ("measured", "noise"):
            raise ValueError(f"start = {self.start!r}: expected 'measured' or 'noise'")

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        return NFE(self.num_steps, 0)

    @torch.no_grad()
    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m = len(y)
        measured = coordinates_of(problem, y.repeat_interleave(num_samples, 0), prior.shape)
        spectrum = measured.spectrum
        places = torch.linspace(1000, 0, self.num_steps + 1).round().long()
        sigmas = ddpm_sigmas(1000, y.dtype)[places].to(y.device).clamp_max(prior.sigma_range[1])
        noises = (noise.flatten(0, 1) for noise in rng.per_sample.steps(len(sigmas), prior.shape))

        z = sigmas[0] * next(noises)
        if self.start == "measured":
            spread = (sigmas[0].square() - measured.levels.square()).clamp_min(0).sqrt()
            at_y = measured.values + spread * (z / sigmas[0])
            z = torch.where(measured.levels <= sigmas[0], at_y, z)
        for sigma, sigma_next, noise in zip(sigmas[:-1], sigmas[1:], noises, strict=True):
            z_0 = spectrum.coordinates(prior.denoise(spectrum.image(z), sigma))
            z = self.step(measured, z, z_0, sigma, sigma_next, noise)
        return spectrum.image(z).unflatten(0, (m, num_samples))

    def step(
        self,
        measured: Coordinates,
        z: Tensor,
        z_0: Tensor,
        sigma: Tensor,
        sigma_next: Tensor,
        noise: Tensor,
    ) -> Tensor:
        """Return the coordinates at the next noise level, from those at this one and those of E[x | x_t], (n, *x)."""
        y, level = measured.values, measured.levels
        unseen = renoise_step(z, z_0, sigma, sigma_next, self.eta, noise)
        # the measurement's own noise takes the place of that of the state
        kept, fresh = math.sqrt(1 - self.eta**2) * sigma_next, self.eta * sigma_next
        noisy = z_0 + kept * (y - z_0) / level.where(level > 0, 1) + fresh * noise
        spread = (sigma_next.square() - (self.eta_b * level).square()).clamp_min(0).sqrt()
        clean = torch.lerp(z_0, y, self.eta_b) + spread * noise
        return torch.where(measured.seen, torch.where(level <= sigma_next, clean, noisy), unseen)
