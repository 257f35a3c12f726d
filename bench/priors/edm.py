"""`edm`: a denoiser with the preconditioning and training of EDM, its decoder the probability-flow ODE.

Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, NeurIPS 2022.
https://arxiv.org/abs/2206.00364
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.rng import Rng
from bench.core.types import Cap, Prior, Random
from bench.numerics.diffusion import heun, karras_sigmas
from bench.priors import networks
from bench.priors.pipeline import EDM, Pipeline, open_pipeline, scheduler_of, write_pipeline
from bench.priors.preconditioning import DDPMDenoiser, EDMDenoiser, denoiser_of, spread


@dataclass(frozen=True)
class Settings:
    pipeline: str | None = None  # a hub id or a folder in the diffusers format, instead of training
    label: int | None = None  # the class, where that pipeline is class-conditional
    local_files_only: bool = True  # false: a hub id may be fetched over the network
    num_ode_steps: int = 10  # of the decoder
    channels: tuple[int, ...] = (16, 16)
    layers_per_block: int = 0
    num_iterations: int = 1200
    batch_size: int = 128
    learning_rate: float = 8e-3
    ema_decay: float = 0.999
    mean_log_sigma: float = -0.5  # log sigma of training is normal
    std_log_sigma: float = 1.2
    sigma_min: float = 0.002
    sigma_max: float = 20.0


@dataclass(frozen=True, eq=False)
class Diffusion:
    """A denoiser network; weights are float32, and so is what happens inside it."""

    denoiser: EDMDenoiser | DDPMDenoiser
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
        return 2 * self.num_ode_steps - 1

    @property
    def sample_nfe(self) -> int:
        return self.decode_nfe

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        """Prior draws, `(m, num_samples, *x)`: decoded noise."""
        return networks.draw(self, num_samples, rng)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """E[x | x_t] for x_t = x + sigma eps: x_t (n, *x), sigma () or (n,) -> (n, *x)."""
        sigma = torch.as_tensor(sigma, dtype=torch.float32, device=x_t.device)
        return self.denoiser(x_t.float(), sigma).to(x_t.dtype)

    def decode(self, z: Tensor) -> Tensor:
        """The probability-flow ODE from sigma_max z down to sigma = 0, Heun's method: (n, *z) -> (n, *x)."""
        sigma_min, sigma_max = self.sigma_range
        sigmas = karras_sigmas(self.num_ode_steps, sigma_min, sigma_max, torch.float32).to(z.device)
        return heun(self.denoiser, sigma_max * z.float(), sigmas).to(z.dtype)


def fit(
    data: dict[str, Tensor], settings: Settings, folder: Path, teacher: Prior | None
) -> tuple[dict[str, Tensor], dict]:
    """Train or open, and write `folder`/pipeline; the card says how exact the decoder's ODE is."""
    if settings.pipeline is None:
        pipeline = train(data["train"], settings)
    else:
        pipeline = open_pipeline(settings.pipeline, settings.label, settings.local_files_only)
    prior = Diffusion(denoiser_of(pipeline), settings.num_ode_steps)
    write_pipeline(folder / "pipeline", pipeline)
    fine = Diffusion(prior.denoiser, 4 * settings.num_ode_steps)
    error = networks.decoders_apart(prior, fine, num_rows=256)
    return {}, {"num_parameters": networks.num_parameters(pipeline.unet), "rms_error_against_fine_integrator": error}


def load(tensors: dict[str, Tensor], settings: Settings, folder: Path, teacher: Prior | None) -> Diffusion:
    return Diffusion(denoiser_of(open_pipeline(folder / "pipeline", settings.label)), settings.num_ode_steps)


def train(images: Tensor, settings: Settings) -> Pipeline:
    """Denoising score matching on images (N, *x), weighted by 1 / c_out^2 so that all noise levels count alike."""
    rng = Rng(("fit", "edm"), (0,), dtype=torch.float32)
    # the preconditioning wants inputs of unit second moment, and images are not centred: not the standard deviation
    sigma_data = images.square().mean().sqrt().item()
    limits = {"sigma_min": settings.sigma_min, "sigma_max": settings.sigma_max, "sigma_data": sigma_data}
    unet = networks.new_unet(tuple(images.shape[1:]), settings.channels, settings.layers_per_block, rng)
    denoiser = EDMDenoiser(Pipeline(unet, scheduler_of(EDM, limits)))

    def loss() -> Tensor:
        x = networks.batch(images, settings.batch_size, rng)
        sigma = (settings.mean_log_sigma + settings.std_log_sigma * rng.randn((len(x),))[0]).exp()
        error = denoiser(x + spread(sigma, x) * rng.randn(tuple(x.shape))[0], sigma) - x
        weight = sigma.square().reciprocal() + sigma_data**-2
        return (spread(weight, x) * error.square()).mean()

    unet = networks.minimise(unet, loss, settings.num_iterations, settings.learning_rate, settings.ema_decay)
    return Pipeline(unet, denoiser.pipeline.scheduler)
