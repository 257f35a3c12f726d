"""`openai_edm`: an EDM model from the repository of consistency models, opened from its `.pt` file.

Song et al., Consistency Models, ICML 2023, https://arxiv.org/abs/2303.01469, where it is the teacher; Karras et al.,
NeurIPS 2022, https://arxiv.org/abs/2206.00364
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
)
from bench.priors.adapters.diffusers import open_pipeline
from bench.priors.adapters.openai_consistency import CONV_DIMS, OpenAIEDM

__all__ = ["OpenAIEDMFamily"]


@dataclass(frozen=True)
class OpenAIEDMFamily:
    """A denoiser with EDM's preconditioning, whose network gets 250 log sigma as time; its ODE is the decoder."""

    weights: str  # a name of `weights list`, a path, or `random`
    # a name or its fields; "": the one known for the name in `weights`
    architecture: str | dict[str, object] = ""
    width: float = 1.0  # share of the architecture's channels
    side: int | None = None  # pixels along an image; the architecture's by default
    sha256: str = ""  # expected hash of the file; "": not checked
    label: int | None = None  # class to draw, if the network is class-conditional
    clip_denoised: bool = False  # keep E[x | x_t] in [-1, 1]
    num_ode_steps: int = 36  # steps of the decoder's ODE; each costs a row

    foreign: ClassVar[bool] = True  # trained by others: the card compares no draws with images
    tiny_shape: ClassVar[tuple[int, ...]] = (3, 8, 8)
    # for tests
    tiny: ClassVar[Mapping[str, object]] = {
        "weights": "random",
        "architecture": TINY | {"qkv": "by_kind", "num_classes": 3},
        "label": 1,
        "num_ode_steps": 2,
    }

    def __post_init__(self) -> None:
        check_fields(self, "num_ode_steps")

    def fit(
        self, data: Mapping[str, Tensor], folder: Path, teacher: Prior | None
    ) -> tuple[dict[str, Tensor], Json]:
        """Open the file, and write `folder`/pipeline; the card has source, hash and terms, and an examination."""
        prior, card = self.opened()
        return fit_foreign(cast(Prior, prior), prior.denoiser.pipeline, data, folder, card)

    def opened(self) -> tuple[Foreign, Json]:
        """Return the prior in the file, and the card of its weights."""
        architecture = chosen_architecture(self)
        tensors, card = foreign_weights(self, architecture, conv_dims=CONV_DIMS)
        denoiser = OpenAIEDM.opened(tensors, architecture, self.label, self.weights)
        return denoising_prior(denoiser, self.num_ode_steps, self.clip_denoised), card

    def load(self, tensors: Mapping[str, Tensor], folder: Path, teacher: Prior | None) -> Foreign:
        """Return the prior in `folder`/pipeline."""
        denoiser = OpenAIEDM(open_pipeline(folder / "pipeline", self.label))
        return denoising_prior(denoiser, self.num_ode_steps, self.clip_denoised)
