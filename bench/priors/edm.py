"""`edm`: a denoiser with the preconditioning and training of EDM, its decoder the probability-flow ODE.

Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, NeurIPS 2022.
https://arxiv.org/abs/2206.00364
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.rng import Rng
from bench.core.types import Prior
from bench.numerics import training
from bench.priors import _networks as networks
from bench.priors._card import write_picture
from bench.priors._checkpoint import Checkpoint
from bench.priors._diffusion import Diffusion
from bench.priors._draws import draws_of
from bench.priors._examination import examined
from bench.priors._learned_card import MOST_IMAGES, MOST_OF_CHECKPOINT, learned_card
from bench.priors.adapters.diffusers import (
    EDM,
    Pipeline,
    open_pipeline,
    scheduler_of,
    write_pipeline,
)
from bench.priors.adapters.preconditioning import EDMDenoiser, denoiser_of, spread
from bench.runtime.progress import progress

__all__ = ["EDMFamily"]

Tensors = dict[str, Tensor]
NUMBERS_OF_CHECK = 2**16  # pixels of all images on which two integrators are compared
MOST_OF_CHECK = 8  # images of that check for a network from a checkpoint


@dataclass(frozen=True, eq=False)
class Taught(Diffusion):
    """A diffusion model of the draws of another prior, the teacher, by whose posterior methods are judged, too."""

    teacher: Prior


@dataclass(frozen=True)
class EDMFamily:
    """A denoiser trained by score matching with normal log sigma, or a diffusers pipeline.

    With a teacher, it learns that prior's draws instead of the data set's images, and the card has the error of the
    score to the teacher's.
    """

    # a folder in the diffusers format or a hub id, instead of training
    pipeline: str | None = None
    sha256: str = ""  # expected hash of the file of weights; "": not checked
    label: int | None = None  # class to draw, if that pipeline is class-conditional
    local_files_only: bool = True  # false: a hub id may be fetched over the network
    num_ode_steps: int = 20  # steps of the decoder's ODE; each costs a row
    channels: tuple[int, ...] = (16, 16)  # of the network, one entry per resolution
    layers_per_block: int = 0  # residual blocks per resolution; 0: strided convolutions only
    num_draws: int = 20_000  # draws of the teacher, if there is one, as training images
    num_iterations: int = 1200  # steps of training
    batch_size: int = 128  # images in a step
    learning_rate: float = 8e-3  # of Adam, warmed up and then lowered to zero
    ema_decay: float = 0.999  # decay of the running average of the weights, which is the result
    channels_last: bool = False  # train with the channels of a pixel adjacent in memory
    mean_log_sigma: float = -0.5  # of the noise levels in training, normal in the logarithm
    std_log_sigma: float = 1.2  # of the same logarithms
    sigma_min: float = 0.002  # data units
    sigma_max: float = 20.0  # data units
    num_for_bits: int = 0  # images of each part whose bits per dimension are in the card

    takes_teacher: ClassVar[bool] = True
    needs_teacher: ClassVar[bool] = False
    # for tests
    tiny: ClassVar[Mapping[str, object]] = {
        "channels": (4, 4),
        "num_iterations": 3,
        "num_ode_steps": 2,
        "num_draws": 64,
    }

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Train or open, and write `folder`/pipeline and samples.png; the card has errors of denoiser and decoder.

        That of a pipeline that was given has an examination, too.
        """
        images = data if teacher is None else draws_of(teacher, self.num_draws)
        pipeline = self.trained_or_opened(images)
        prior = Diffusion(denoiser_of(pipeline), self.num_ode_steps)
        write_pipeline(folder / "pipeline", pipeline)
        given = self.pipeline is not None  # such a network may be large: its card takes fewer rows
        write_picture(folder / "samples.png", prior, num_parts=8 if given else 1)
        fine = Diffusion(prior.denoiser, 4 * self.num_ode_steps)
        at_most = MOST_OF_CHECK if given else 256
        num_rows = min(at_most, max(4, NUMBERS_OF_CHECK // math.prod(prior.shape)))
        error = networks.decoders_apart(prior, fine, num_rows=num_rows)
        most_images = MOST_OF_CHECKPOINT if given else MOST_IMAGES
        card: Json = {
            "num_parameters": networks.num_parameters(pipeline.unet),
            "rms_error_against_fine_integrator": error,
            **learned_card(prior, images, teacher, self.num_for_bits, most_images),
        }
        if given:  # by others, whose conventions may be other ones
            card["examination"] = examined(prior, images.get("train"))
        return {}, card

    def trained_or_opened(self, images: Tensors) -> Pipeline:
        """Return the network that the fields name, or one that is trained on images."""
        if self.pipeline is None:
            return train(images["train"], self)
        checkpoint = Checkpoint(self.pipeline, self.label, self.local_files_only, self.sha256)
        return checkpoint.open(images["train"].shape[1:] if images else None)

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> Diffusion:
        """Return the prior in `folder`/pipeline."""
        denoiser = denoiser_of(open_pipeline(folder / "pipeline", self.label))
        if teacher is None:
            return Diffusion(denoiser, self.num_ode_steps)
        return Taught(denoiser, self.num_ode_steps, teacher)


def train(images: Tensor, settings: EDMFamily) -> Pipeline:
    """Train by denoising score matching on images (N, *x), weighted by 1 / c_out^2 at all noise levels."""
    rng = Rng(("fit", "edm"), (0,), dtype=torch.float32)
    # not the standard deviation: the preconditioning needs inputs of unit second moment, and images are not centred
    sigma_data = images.square().mean().sqrt().item()
    limits = {
        "sigma_min": settings.sigma_min,
        "sigma_max": settings.sigma_max,
        "sigma_data": sigma_data,
    }
    unet = networks.new_unet(
        tuple(images.shape[1:]), settings.channels, settings.layers_per_block, rng
    )
    if settings.channels_last:
        unet = unet.to(memory_format=torch.channels_last)
    denoiser = EDMDenoiser(Pipeline(unet, scheduler_of(EDM, limits)))

    def loss(_: int) -> Tensor:
        x = networks.batch(images, settings.batch_size, rng)
        sigma = (settings.mean_log_sigma + settings.std_log_sigma * rng.randn((len(x),))[0]).exp()
        error = denoiser(x + spread(sigma, x) * rng.randn(tuple(x.shape))[0], sigma) - x
        weight = sigma.square().reciprocal() + sigma_data**-2
        return (spread(weight, x) * error.square()).mean()

    steps = (settings.num_iterations, settings.learning_rate, settings.ema_decay)
    descent = networks.Descent(unet, *steps)
    training.minimise(loss, descent, partial(progress, what="train edm"))
    return Pipeline(descent.average, denoiser.pipeline.scheduler)
