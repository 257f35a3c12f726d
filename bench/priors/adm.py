"""`adm`: a diffusion model of guided-diffusion (ADM), opened from its `.pt` file.

Dhariwal and Nichol, Diffusion Models Beat GANs on Image Synthesis, NeurIPS 2021. https://arxiv.org/abs/2105.05233
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from torch import Tensor

from bench.core.artefacts import Json
from bench.core.types import Prior
from bench.priors._foreign import (
    TINY,
    Foreign,
    check_fields,
    chosen_architecture,
    denoising_prior,
    fit_foreign,
    foreign_weights,
    setting_of,
)
from bench.priors.adapters.adm import ADM, SCHEDULES
from bench.priors.adapters.diffusers import open_pipeline

__all__ = ["ADMFamily"]

FEWEST_TIMESTEPS = 20  # at which the last of the linear betas, 20 / num_timesteps, is 1


@dataclass(frozen=True)
class ADMFamily:
    """A denoiser that predicts the noise (a predicted variance is not used), with its ODE as the decoder."""

    weights: str  # a name of `weights list`, a path, or `random`
    # a name or its fields; "": the one known for the name in `weights`
    architecture: str | dict[str, object] = ""
    width: float = 1.0  # share of the architecture's channels
    side: int | None = None  # pixels along an image; the architecture's by default
    sha256: str = ""  # expected hash of the file; "": not checked
    label: int | None = None  # class to draw, if the network is class-conditional
    # noise schedule in training, linear or cosine; "": the one known for the weights' name, else linear
    schedule: str = ""
    num_timesteps: int = 1000  # steps of that schedule
    # keep E[x | x_t] in [-1, 1], as the code of DPS does
    clip_denoised: bool = False
    num_ode_steps: int = 36  # steps of the decoder's ODE; each costs a row

    foreign: ClassVar[bool] = True  # trained by others: the card compares no draws with images
    tiny_shape: ClassVar[tuple[int, ...]] = (3, 8, 8)
    # for tests
    tiny: ClassVar[Mapping[str, object]] = {
        "weights": "random",
        "architecture": TINY | {"out_channels": 6, "num_classes": 3},
        "label": 1,
        "num_ode_steps": 2,
    }

    def __post_init__(self) -> None:
        check_fields(self, "num_timesteps", "num_ode_steps")
        if self.chosen_schedule not in SCHEDULES:
            names = ", ".join(SCHEDULES)
            raise ValueError(f"schedule: expected one of {names}, got {self.schedule!r}")
        if self.num_timesteps <= FEWEST_TIMESTEPS:
            raise ValueError(
                f"num_timesteps: expected more than {FEWEST_TIMESTEPS}, got {self.num_timesteps}"
            )

    @property
    def chosen_schedule(self) -> str:
        return setting_of(self.weights, "schedule", self.schedule, "linear")

    def fit(
        self, data: Mapping[str, Tensor], folder: Path, teacher: Prior | None
    ) -> tuple[dict[str, Tensor], Json]:
        """Open the file, and write `folder`/pipeline; the card has source, hash and terms, and an examination."""
        prior, card = self.opened()
        return fit_foreign(cast(Prior, prior), prior.denoiser.pipeline, data, folder, card)

    def opened(self) -> tuple[Foreign, Json]:
        """Return the prior in the file, and the card of its weights."""
        architecture = chosen_architecture(self)
        tensors, card = foreign_weights(self, architecture)
        noise = (self.chosen_schedule, self.num_timesteps)
        denoiser = ADM.opened(tensors, architecture, self.label, self.weights, *noise)
        return denoising_prior(denoiser, self.num_ode_steps, self.clip_denoised), card

    def load(self, tensors: Mapping[str, Tensor], folder: Path, teacher: Prior | None) -> Foreign:
        """Return the prior in `folder`/pipeline."""
        denoiser = ADM(open_pipeline(folder / "pipeline", self.label))
        return denoising_prior(denoiser, self.num_ode_steps, self.clip_denoised)
