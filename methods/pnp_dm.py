"""PnP-DM: plug-and-play diffusion models as a split Gibbs sampler. Wu et al., NeurIPS 2024.

https://arxiv.org/abs/2405.18782
The sampler is that of Vono, Dobigeon & Chainais 2019 (https://arxiv.org/abs/1804.05809) with a diffusion model.

Chains alternate draws of z given (x, y) and of x given z under p(x, z) proportional to p(x) N(z; x, rho^2 I) p(y | z).
Reverse diffusion from z at noise level rho is the draw of x.

Deviations:
- rho falls geometrically to `rho_min` over `num_warmup` iterations; the paper multiplies it by 0.9 an iteration.
- Reverse diffusion takes `num_steps` ancestral steps that begin at rho itself. The release has a fixed grid, and
  begins at its first level below rho.
- Many chains per measurement, since a chain seldom leaves a mode once rho is small; state t of chain c is sample
  t * num_chains + c. The release has one chain.
- `rho_min` is smaller than the paper's 0.3: the variance of the noise that samples fit is sigma_y^2 + rho_min^2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bench.core.types import NFE, Cap, Joint, Kind, LogUniform, Prior, Problem, Random, Search
from bench.numerics import mcmc
from bench.numerics.conditioning import conditioning, langevin
from bench.numerics.diffusion import ancestral_step, karras_sigmas

__all__ = ["PnPDM"]

# x (n, *x), rho^2, noise (n, k, size) -> z
DrawZ = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class PnPDM:
    """Gibbs chains between an image z that fits the measurement and an image x of the prior, within rho of each other.

    An iteration of a chain costs `num_steps` rows through the denoiser, and none back.
    Exact when rho_min goes to 0 and chains are long enough to mix, which takes longer the smaller rho_min is. At a
    fixed rho_min, chains converge to a density proportional to p(x) N(y; A x, sigma_y^2 I + rho_min^2 A A^T).
    """

    uses: ClassVar[Cap] = Cap.SPECTRUM
    kind: ClassVar[Kind] = "split"
    search: ClassVar[Search] = {"rho_min": LogUniform(0.002, 2.0)}
    joint: ClassVar[Joint] = "chain"
    tiny: ClassVar[dict] = {
        "num_chains": 4,
        "num_warmup": 10,
        "num_steps": 5,
        "thin": 2,
        "num_langevin": 10,
    }

    num_chains: int = 64  # per measurement
    num_warmup: int = 100  # iterations while rho falls
    rho_max: float = 10.0  # rho at the start, in data units
    rho_min: float = 0.1  # rho from the end of warm-up on
    thin: int = 5  # iterations for each state that is kept
    num_steps: int = 10  # steps of reverse diffusion in each iteration
    sigma_min: float = 0.01  # noise level at which the last of them begins
    inner: Literal["exact", "langevin"] = "exact"  # draws of z; Langevin takes any likelihood
    num_langevin: int = 100  # Langevin steps in each iteration
    step: float = 1e-4  # of Langevin; they diverge where step (1 / sigma_y^2 + 1 / rho^2) exceeds 2 (with A A^T = I)

    def __post_init__(self) -> None:
        for name in ("num_chains", "thin", "num_steps", "num_langevin"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: expected 1 or more")
        if self.num_warmup < 0:
            raise ValueError(f"num_warmup = {self.num_warmup}: expected 0 or more")
        for name in ("rho_min", "sigma_min", "step"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a number > 0")
        if self.rho_max < self.rho_min:
            raise ValueError(f"rho_max = {self.rho_max}: expected rho_min or more")
        if self.inner not in ("exact", "langevin"):
            raise ValueError(f"inner = {self.inner!r}: expected 'exact' or 'langevin'")

    @property
    def needs(self) -> Cap:
        if self.inner == "exact":
            return Cap.DENOISER | Cap.RESIDUAL | Cap.LINEAR
        return Cap.DENOISER | Cap.GRAD

    def nfe(self, prior: Prior, num_samples: int) -> NFE:
        chains = min(self.num_chains, num_samples)
        iterations = self.num_warmup + math.ceil(num_samples / chains) * self.thin
        return NFE(iterations * self.num_steps * chains / num_samples, 0)

    def sample(
        self, prior: Prior, problem: Problem, y: Tensor, num_samples: int, *, rng: Random
    ) -> Tensor:
        m, chains = len(y), min(self.num_chains, num_samples)
        draw_z, size, num_noises = self._inner(problem, y.repeat_interleave(chains, 0), prior)

        def move(x: Tensor, grid: Tensor) -> Tensor:
            noise = rng.randn((chains, num_noises + self.num_steps, size)).flatten(0, 1)
            z = draw_z(x, grid[0].square(), noise[:, :num_noises])
            return self._reverse(prior, z, grid, noise[:, num_noises:, : x[0].numel()])

        grids = self._grids(prior, y)
        x = y.new_zeros(m * chains, *prior.shape)
        for grid in grids[:-1]:
            x = move(x, grid)
        return mcmc.thinned(
            x,
            lambda x: move(x, grids[-1]),
            lambda x: x.unflatten(0, (m, chains)),
            num_samples,
            self.thin,
        )

    def _grids(self, prior: Prior, y: Tensor) -> Tensor:
        """Return noise levels (num_warmup + 1, num_steps + 1) of reverse diffusion, each row from a rho to 0."""
        low, high = prior.sigma_range
        ratios = torch.linspace(0, 1, self.num_warmup + 1, dtype=torch.float64)
        rhos = self.rho_max * (self.rho_min / self.rho_max) ** ratios
        if not self.num_warmup:
            rhos = torch.full_like(rhos, self.rho_min)
        last = max(low, self.sigma_min)
        rows = [
            karras_sigmas(self.num_steps, min(last, rho), rho)
            for rho in rhos.clamp_max(high).tolist()
        ]
        return torch.stack(rows).to(y.dtype).to(y.device)

    def _reverse(self, prior: Prior, z: Tensor, grid: Tensor, noise: Tensor) -> Tensor:
        """Draw x of p(x) N(z; x, rho^2 I), rho = grid[0], by ancestral steps; noise (n, num_steps, d)."""
        for i in range(self.num_steps):
            x_0 = prior.denoise(z, grid[i])
            z = ancestral_step(z, x_0, grid[i], grid[i + 1], noise[:, i].view_as(z))
        return z

    def _inner(self, problem: Problem, y: Tensor, prior: Prior) -> tuple[DrawZ, int, int]:
        """Return the draw of z, and the size and the number of vectors of noise that it takes."""
        if self.inner == "exact":
            given = conditioning(problem, y, prior.shape)
            (size,) = given.noise_shape
            return lambda x, variance, noise: given.draw(x, variance, noise[:, 0]), size, 1

        def draw(x: Tensor, variance: Tensor, noise: Tensor) -> Tensor:
            images = (part.view_as(x) for part in noise.unbind(1))
            return langevin(problem, y, x, variance, self.step, images)

        return draw, math.prod(prior.shape), self.num_langevin
