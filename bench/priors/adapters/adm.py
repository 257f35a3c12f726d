"""ADM: the diffusion models of guided-diffusion, and models trained with its code, such as the DPS paper's for FFHQ.

Dhariwal and Nichol, Diffusion Models Beat GANs on Image Synthesis, NeurIPS 2021. https://arxiv.org/abs/2105.05233
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from bench.priors.adapters.architectures import Architecture
from bench.priors.adapters.diffusers import Pipeline, scheduler_of
from bench.priors.adapters.guided_unet import opened_unet
from bench.priors.adapters.preconditioning import DDPMDenoiser, spread

SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}  # theirs, and diffusers' name


@dataclass(frozen=True, eq=False)
class ADM(DDPMDenoiser):
    """D(x_t) = x_t - sigma eps(x_i, i); eps is the first half of the channels, the other half a learned variance."""

    @classmethod
    def opened(
        cls,
        tensors: Mapping[str, Tensor],
        architecture: Architecture,
        label: int | None = None,
        source: str = "weights",
        schedule: str = "linear",
        num_timesteps: int = 1000,
    ) -> ADM:
        """Return the denoiser with these weights; raise UserError, one line, for those of another architecture."""
        settings = {
            "num_train_timesteps": num_timesteps,
            # guided-diffusion scales its linear betas so that the total noise is the same for any number of steps
            "beta_start": 0.1 / num_timesteps,
            "beta_end": 20 / num_timesteps,
            "beta_schedule": SCHEDULES[schedule],
            "clip_sample": False,
        }
        unet = opened_unet(tensors, architecture, source)
        return cls(Pipeline(unet, scheduler_of("DDPMScheduler", settings), label))

    def score(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return the gradient of log p(x_t), -eps / sigma: s times that of x_i = s x_t, -eps / sqrt(1 - abar)."""
        scale = spread((sigma.square() + 1).rsqrt(), x_t)
        return -self.pipeline.predict(scale * x_t, self.step(sigma)) / spread(sigma, x_t)
