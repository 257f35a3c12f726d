"""`edm`: a denoiser with the preconditioning and training of EDM, its decoder the probability-flow ODE.

Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, NeurIPS 2022.
https://arxiv.org/abs/2206.00364
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.rng import Rng
from bench.core.types import Prior
from bench.priors import _networks as networks
from bench.priors._diffusion import Diffusion
from bench.priors.adapters.diffusers import (
    EDM,
    Pipeline,
    open_pipeline,
    scheduler_of,
    write_pipeline,
)
from bench.priors.adapters.preconditioning import EDMDenoiser, denoiser_of, spread

__all__ = ["EDMFamily"]

Tensors = dict[str, Tensor]
NUMBERS_OF_CHECK = 2**16  # pixels of all images on which two integrators are compared


@dataclass(frozen=True)
class EDMFamily:
    """A denoiser trained by score matching, or a diffusers pipeline; log sigma of training is normal."""

    pipeline: str | None = None  # a hub id or a folder in the diffusers format, instead of training
    label: int | None = None  # the class, where that pipeline is class-conditional
    local_files_only: bool = True  # false: a hub id may be fetched over the network
    num_ode_steps: int = 10  # of the decoder, Heun's method
    channels: tuple[int, ...] = (16, 16)  # of the network, one entry per resolution
    layers_per_block: int = 0  # residual blocks per resolution; 0 leaves convolutions with stride
    num_iterations: int = 1200  # steps of training
    batch_size: int = 128  # images in a step
    learning_rate: float = 8e-3  # of Adam, warmed up and then lowered to zero
    ema_decay: float = 0.999  # of the running average of the weights, which is kept
    mean_log_sigma: float = -0.5  # of the noise levels in training, normal in the logarithm
    std_log_sigma: float = 1.2  # likewise
    sigma_min: float = 0.002  # data units
    sigma_max: float = 20.0  # data units

    # for tests
    tiny: ClassVar[Mapping[str, object]] = {
        "channels": (4, 4),
        "num_iterations": 3,
        "num_ode_steps": 2,
    }

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Train or open, and write `folder`/pipeline; the card says how exact the decoder's ODE is."""
        if self.pipeline is None:
            pipeline = train(data["train"], self)
        else:
            pipeline = open_pipeline(self.pipeline, self.label, self.local_files_only)
        prior = Diffusion(denoiser_of(pipeline), self.num_ode_steps)
        write_pipeline(folder / "pipeline", pipeline)
        fine = Diffusion(prior.denoiser, 4 * self.num_ode_steps)
        num_rows = min(256, max(4, NUMBERS_OF_CHECK // math.prod(prior.shape)))
        error = networks.decoders_apart(prior, fine, num_rows=num_rows)
        return {}, {
            "num_parameters": networks.num_parameters(pipeline.unet),
            "rms_error_against_fine_integrator": error,
        }

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> Diffusion:
        """Return the prior in `folder`/pipeline."""
        return Diffusion(
            denoiser_of(open_pipeline(folder / "pipeline", self.label)), self.num_ode_steps
        )


def train(images: Tensor, settings: EDMFamily) -> Pipeline:
    """Train by denoising score matching on images (N, *x), weighted by 1 / c_out^2, all noise levels alike."""
    rng = Rng(("fit", "edm"), (0,), dtype=torch.float32)
    # the preconditioning wants inputs of unit second moment, and images are not centred: not the standard deviation
    sigma_data = images.square().mean().sqrt().item()
    limits = {
        "sigma_min": settings.sigma_min,
        "sigma_max": settings.sigma_max,
        "sigma_data": sigma_data,
    }
    unet = networks.new_unet(
        tuple(images.shape[1:]), settings.channels, settings.layers_per_block, rng
    )
    denoiser = EDMDenoiser(Pipeline(unet, scheduler_of(EDM, limits)))

    def loss() -> Tensor:
        x = networks.batch(images, settings.batch_size, rng)
        sigma = (settings.mean_log_sigma + settings.std_log_sigma * rng.randn((len(x),))[0]).exp()
        error = denoiser(x + spread(sigma, x) * rng.randn(tuple(x.shape))[0], sigma) - x
        weight = sigma.square().reciprocal() + sigma_data**-2
        return (spread(weight, x) * error.square()).mean()

    unet = networks.minimise(
        unet, loss, settings.num_iterations, settings.learning_rate, settings.ema_decay
    )
    return Pipeline(unet, denoiser.pipeline.scheduler)
