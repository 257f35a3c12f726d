"""OpenAI's consistency models and the EDM models that they were distilled from, in the format of their repository.

Song et al., Consistency Models, ICML 2023. https://arxiv.org/abs/2303.01469
Both give the network the time 250 log sigma, a thousand times that of EDM's own code.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from bench.priors.adapters.architectures import Architecture
from bench.priors.adapters.diffusers import CONSISTENCY, EDM, Pipeline, scheduler_of
from bench.priors.adapters.guided_unet import opened_unet
from bench.priors.adapters.preconditioning import ConsistencyMap, spread

LIMITS = {"sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5}
NUM_LEVELS = 40  # noise levels in distillation, those of Karras et al.
CONV_DIMS = 2  # number of axes of the convolutions in attention


@dataclass(frozen=True, eq=False)
class OpenAIConsistency(ConsistencyMap):
    """f(x_t, sigma) = c_skip x_t + c_out F(c_in x_t, 250 log sigma), the identity at sigma_min.

    calls: numbers of the noise levels, 0 the highest of 40, at which several steps call the network; (): spread evenly.
    """

    calls: tuple[int, ...] = ()

    @classmethod
    def opened(
        cls,
        tensors: Mapping[str, Tensor],
        architecture: Architecture,
        label: int | None = None,
        source: str = "weights",
        clip_denoised: bool = True,
        calls: tuple[int, ...] = (),
    ) -> OpenAIConsistency:
        """Return the map with these weights; raise UserError, one line, for those of another architecture."""
        scheduler = scheduler_of(CONSISTENCY, LIMITS | {"clip_denoised": clip_denoised})
        return cls(Pipeline(opened_unet(tensors, architecture, source), scheduler, label), calls)

    def levels(self, num_steps: int) -> tuple[Tensor, Tensor]:
        """Return the noise levels of the steps and then sigma_min, (num_steps + 1,), and their times (num_steps,)."""
        if not self.calls:
            return super().levels(num_steps)
        scheduler = copy.copy(self.pipeline.scheduler)
        scheduler.set_timesteps(timesteps=list(reversed(self.calls)))
        return scheduler.sigmas, scheduler.timesteps


@dataclass(frozen=True, eq=False)
class OpenAIEDM:
    """D(x_t) = (sigma_data c_in)^2 x_t + sigma_data sigma c_in F(c_in x_t, 250 log sigma)."""

    pipeline: Pipeline

    @classmethod
    def opened(
        cls,
        tensors: Mapping[str, Tensor],
        architecture: Architecture,
        label: int | None = None,
        source: str = "weights",
    ) -> OpenAIEDM:
        """Return the denoiser with these weights; raise UserError, one line, for those of another architecture."""
        unet = opened_unet(tensors, architecture, source)
        return cls(Pipeline(unet, scheduler_of(EDM, LIMITS), label))

    @property
    def sigma_range(self) -> tuple[float, float]:
        return self.pipeline.scheduler.config.sigma_min, self.pipeline.scheduler.config.sigma_max

    def __call__(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x_t]: x_t (n, *x), sigma () or (n,), float32; below sigma_min the network gets sigma_min."""
        config, sigma_x = self.pipeline.scheduler.config, spread(sigma, x_t)
        c_in = (sigma_x.square() + config.sigma_data**2).rsqrt()
        output = self.pipeline.predict(c_in * x_t, 250 * sigma.clamp_min(config.sigma_min).log())
        c_skip, c_out = (config.sigma_data * c_in).square(), config.sigma_data * sigma_x * c_in
        return c_skip * x_t + c_out * output
