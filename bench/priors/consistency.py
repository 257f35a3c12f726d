"""`consistency`: a map from noise to images in one or two network calls, distilled from a teacher's denoiser.

Song et al., Consistency Models, ICML 2023. https://arxiv.org/abs/2303.01469

With more than one step the map is deterministic, too: the noise between steps is z itself, shuffled. That keeps it
standard normal; one noise for all z would pull every image towards the same ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from torch import Tensor

from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.core.types import Cap, Prior, Random
from bench.priors import networks
from bench.priors.distil import distil
from bench.priors.pipeline import CONSISTENCY, Pipeline, open_pipeline, write_pipeline
from bench.priors.preconditioning import ConsistencyMap


@dataclass(frozen=True)
class Settings:
    pipeline: str | None = None  # a hub id or a folder in the diffusers format, instead of distilling
    label: int | None = None  # the class, where that pipeline is class-conditional
    local_files_only: bool = True  # false: a hub id may be fetched over the network
    num_steps: int = 1  # network calls per image
    objective: Literal["regression", "distillation"] = "regression"
    num_pairs: int = 8192  # of noise and image, for regression
    num_levels: int = 18  # noise levels of distillation, and steps of the teacher's ODE between calls of the student
    channels: tuple[int, ...] = (16, 16)  # where the student is not a copy of its teacher's network
    layers_per_block: int = 0
    num_iterations: int = 900
    batch_size: int = 128
    learning_rate: float = 8e-3
    ema_decay: float = 0.999
    target_decay: float = 0.95
    sigma_min: float = 0.002
    sigma_max: float = 20.0


@dataclass(frozen=True, eq=False)
class Consistency:
    """The map as a decoder; denoiser and density are the teacher's."""

    map: ConsistencyMap
    num_steps: int
    teacher: Prior | None = None

    @property
    def caps(self) -> Cap:
        taught = Cap.NONE if self.teacher is None else self.teacher.caps
        return Cap.DECODER | taught & (Cap.DENOISER | Cap.DENSITY)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.map.pipeline.shape

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def sigma_range(self) -> tuple[float, float]:
        return (0.0, 0.0) if self.teacher is None else self.teacher.sigma_range

    @property
    def decode_nfe(self) -> int:
        return self.num_steps

    @property
    def sample_nfe(self) -> int:
        return self.num_steps

    def sample(self, num_samples: int, rng: Random) -> Tensor:
        """Draws of the map, `(m, num_samples, *x)`: decoded noise."""
        return networks.draw(self, num_samples, rng)

    def decode(self, z: Tensor) -> Tensor:
        """f(sigma_max z, sigma_max), and with more steps so on, with noise made of z: (n, *z) -> (n, *x)."""
        noise = None if self.num_steps == 1 else self.noise(z.float())
        return self.map.multistep(z.float(), noise).to(z.dtype)

    def noise(self, z: Tensor) -> Tensor:
        """What is added after each step, (num_steps, n, *x): the entries of z (n, *z) shuffled, with other signs."""
        orders, signs = self._shuffles
        shuffled = z.flatten(1)[:, orders.to(z.device)] * signs.to(z)  # (n, num_steps, D)
        return shuffled.transpose(0, 1).unflatten(2, self.shape)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """The teacher's E[x | x_t]."""
        return self.teacher.denoise(x_t, sigma)

    def log_prob(self, x: Tensor) -> Tensor:
        """The teacher's log p(x)."""
        return self.teacher.log_prob(x)

    @cached_property
    def _shuffles(self) -> tuple[Tensor, Tensor]:
        """Orders of the D entries of an image and signs, (num_steps, D) each, always the same ones."""
        rng, size = Rng(("consistency", "noise between steps"), (0,)), (self.num_steps, math.prod(self.shape))
        return rng.rand(size)[0].argsort(1), 2.0 * rng.randint(2, size)[0] - 1


def fit(
    data: dict[str, Tensor], settings: Settings, folder: Path, teacher: Prior | None
) -> tuple[dict[str, Tensor], dict]:
    """Distil or open, and write `folder`/pipeline; the card says how far the map is from the teacher's ODE."""
    if settings.pipeline is not None:
        pipeline = open_pipeline(settings.pipeline, settings.label, settings.local_files_only)
    elif teacher is not None:
        pipeline = distil(teacher, data["train"], settings)
    else:
        raise UserError("family consistency: expected a teacher or a pipeline")
    prior = _prior(pipeline, settings, teacher)
    write_pipeline(folder / "pipeline", pipeline)
    card = {"num_parameters": networks.num_parameters(pipeline.unet)}
    if teacher is not None and Cap.DECODER in teacher.caps:
        card["rms_error_to_teacher"] = networks.decoders_apart(prior, teacher)
    return {}, card


def load(tensors: dict[str, Tensor], settings: Settings, folder: Path, teacher: Prior | None) -> Consistency:
    return _prior(open_pipeline(folder / "pipeline", settings.label), settings, teacher)


def _prior(pipeline: Pipeline, settings: Settings, teacher: Prior | None) -> Consistency:
    if pipeline.kind != CONSISTENCY:
        raise UserError(f"{pipeline.kind}: expected a consistency model, with {CONSISTENCY}; family edm opens others")
    return Consistency(ConsistencyMap(pipeline), settings.num_steps, teacher)
