"""A map from noise to images in one or a few network calls as a prior, and its files.

The families `consistency` and `regression_map` differ only in the training of the network. The map is deterministic
with more than one step, too: the noise between steps is z itself, shuffled, which is standard normal. Noise that is the
same for all z would pull all images towards each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from bench.core.artefacts import Json
from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.core.types import Cap, Prior, Random
from bench.priors import _networks as networks
from bench.priors.adapters.diffusers import CONSISTENCY, Pipeline, open_pipeline, write_pipeline
from bench.priors.adapters.preconditioning import ConsistencyMap

NUMBERS_OF_CHECK = 2**18  # pixels of all images on which the map is compared with its teacher


@dataclass(frozen=True, eq=False)
class Consistency:
    """The map as a decoder; denoiser and density are the teacher's."""

    map: ConsistencyMap
    num_steps: int
    teacher: Prior | None = None

    @property
    def caps(self) -> Cap:
        return Cap.DECODER | self.borrowed

    @property
    def borrowed(self) -> Cap:
        taught = Cap.NONE if self.teacher is None else self.teacher.caps
        return taught & (Cap.DENOISER | Cap.DENSITY)

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
        """Draw from the map, `(m, num_samples, *x)`: decoded noise."""
        return networks.draw(self, num_samples, rng)

    def decode(self, z: Tensor) -> Tensor:
        """Return f(sigma_max z, sigma_max), followed by further steps with noise made from z: (n, *z) -> (n, *x)."""
        noise = None if self.num_steps == 1 else self.noise(z.float())
        return self.map.multistep(z.float(), noise).to(z.dtype)

    def noise(self, z: Tensor) -> Tensor:
        """Return the noise after each step, (num_steps, n, *x): the entries of z (n, *z) shuffled, with other signs."""
        orders, signs = self._shuffles
        shuffled = z.flatten(1)[:, orders.to(z.device)] * signs.to(z)  # (n, num_steps, D)
        return shuffled.transpose(0, 1).unflatten(2, self.shape)

    def denoise(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return the teacher's E[x | x_t]."""
        return self._known_teacher.denoise(x_t, sigma)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the teacher's log p(x)."""
        return self._known_teacher.log_prob(x)

    @property
    def _known_teacher(self) -> Prior:
        if self.teacher is None:
            raise ValueError(
                "this map has no teacher, so neither denoiser nor density (its caps lack them)"
            )
        return self.teacher

    @cached_property
    def _shuffles(self) -> tuple[Tensor, Tensor]:
        """Return orders of the D entries of an image and signs, (num_steps, D) each, always the same ones."""
        rng = Rng(("consistency", "noise between steps"), (0,))
        size = (self.num_steps, math.prod(self.shape))
        return rng.rand(size)[0].argsort(1), 2.0 * rng.randint(2, size)[0] - 1


def fit_map(
    pipeline: Pipeline, num_steps: int, teacher: Prior | None, folder: Path
) -> tuple[dict[str, Tensor], Json]:
    """Write a map into `folder`/pipeline; return no tensors, and its card: size, and error to the teacher's ODE."""
    prior = _prior_of(pipeline, num_steps, teacher)
    write_pipeline(folder / "pipeline", pipeline)
    card: Json = {"num_parameters": networks.num_parameters(pipeline.unet)}
    if teacher is not None and Cap.DECODER in teacher.caps:
        num_rows = min(512, max(4, NUMBERS_OF_CHECK // math.prod(prior.shape)))
        card["rms_error_to_teacher"] = networks.decoders_apart(prior, teacher, num_rows)
    return {}, card


def load_map(
    folder: Path, num_steps: int, teacher: Prior | None, label: int | None = None
) -> Consistency:
    """Return the map in `folder`/pipeline; label: the class of a class-conditional one."""
    return _prior_of(open_pipeline(folder / "pipeline", label), num_steps, teacher)


def _prior_of(pipeline: Pipeline, num_steps: int, teacher: Prior | None) -> Consistency:
    """Return the prior; raise UserError, one line, if the pipeline is not a consistency model."""
    if pipeline.kind != CONSISTENCY:
        words = f"expected a consistency model, with {CONSISTENCY}; family edm opens others"
        raise UserError(f"{pipeline.kind}: {words}")
    return Consistency(ConsistencyMap(pipeline), num_steps, teacher)
