"""`openai_consistency`: a consistency model of OpenAI, opened from its `.pt` file.

Song et al., Consistency Models, ICML 2023. https://arxiv.org/abs/2303.01469
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from torch import Tensor

from bench.core.artefacts import Json
from bench.core.types import Prior
from bench.priors._consistency import Consistency
from bench.priors._diffusion import Diffusion
from bench.priors._foreign import (
    TINY,
    check_fields,
    chosen_architecture,
    fit_foreign,
    foreign_weights,
)
from bench.priors.adapters.diffusers import open_pipeline
from bench.priors.adapters.openai_consistency import CONV_DIMS, NUM_LEVELS, OpenAIConsistency
from bench.priors.adapters.preconditioning import ConsistencyMap

__all__ = ["OpenAIConsistencyFamily"]


@dataclass(frozen=True, eq=False)
class MapAsDenoiser:
    """The map used as a denoiser; it gives the image at the end of the ODE through x_t, not the mean over images."""

    map: ConsistencyMap

    @property
    def pipeline(self) -> Any:
        return self.map.pipeline

    @property
    def sigma_range(self) -> tuple[float, float]:
        return (
            self.map.pipeline.scheduler.config.sigma_min,
            self.map.pipeline.scheduler.config.sigma_max,
        )

    def __call__(self, x_t: Tensor, sigma: Tensor) -> Tensor:
        """Return f(x_t, sigma); below sigma_min return x_t, as the map is the identity at sigma_min."""
        return self.map(x_t, sigma.clamp_min(self.sigma_range[0]))


@dataclass(frozen=True)
class OpenAIConsistencyFamily:
    """A map from noise to images in one or a few network calls; its denoiser is that of its teacher, if it has one."""

    weights: str  # a name of `weights list`, a path, or `random`
    # a name or its fields; "": the one known for the name in `weights`
    architecture: str | dict[str, object] = ""
    width: float = 1.0  # share of the architecture's channels
    side: int | None = None  # pixels along an image; the architecture's by default
    sha256: str = ""  # expected hash of the file; "": not checked
    label: int | None = None  # class to draw, if the network is class-conditional
    num_steps: int = 1  # network calls per image
    # numbers of the calls' noise levels, 0 the highest of 40, e.g. [0, 19] in the code of CPS; []: spread evenly
    calls: tuple[int, ...] = ()
    clip_denoised: bool = True  # keep images in [-1, 1], as OpenAI's code does
    # use the map as a denoiser, which it is not, as rows called CM in the CPS paper do
    map_as_denoiser: bool = False

    takes_teacher: ClassVar[bool] = True
    needs_teacher: ClassVar[bool] = False
    foreign: ClassVar[bool] = True  # trained by others: the card compares no draws with images
    tiny_shape: ClassVar[tuple[int, ...]] = (3, 8, 8)
    # for tests
    tiny: ClassVar[Mapping[str, object]] = {
        "weights": "random",
        "architecture": TINY | {"qkv": "by_kind", "num_classes": 3},
        "label": 1,
    }

    def __post_init__(self) -> None:
        check_fields(self, "num_steps")
        object.__setattr__(self, "calls", tuple(self.calls))  # a list in a suite
        in_order = sorted(set(self.calls) & set(range(NUM_LEVELS)))
        if self.calls and (list(self.calls) != in_order or len(in_order) != self.num_steps):
            raise ValueError(
                f"calls: expected num_steps = {self.num_steps} numbers from 0 to {NUM_LEVELS - 1}, increasing, "
                f"got {list(self.calls)}"
            )

    def fit(
        self, data: Mapping[str, Tensor], folder: Path, teacher: Prior | None
    ) -> tuple[dict[str, Tensor], Json]:
        """Open the file, and write `folder`/pipeline; the card has source, hash and terms."""
        prior, card = self.opened()
        return fit_foreign(cast(Prior, prior), prior.map.pipeline, data, folder, card)

    def opened(self) -> tuple[Consistency, Json]:
        """Return the prior in the file, and the card of its weights."""
        architecture = chosen_architecture(self)
        tensors, card = foreign_weights(self, architecture, conv_dims=CONV_DIMS)
        settings = (self.label, self.weights, self.clip_denoised, self.calls)
        opened = OpenAIConsistency.opened(tensors, architecture, *settings)
        return self.prior_of(opened, None), card

    def load(
        self, tensors: Mapping[str, Tensor], folder: Path, teacher: Prior | None
    ) -> Consistency:
        """Return the map in `folder`/pipeline."""
        pipeline = open_pipeline(folder / "pipeline", self.label)
        return self.prior_of(OpenAIConsistency(pipeline, self.calls), teacher)

    def prior_of(self, opened: OpenAIConsistency, teacher: Prior | None) -> Consistency:
        """Return a map as a prior, with its teacher's denoiser, or with itself as denoiser if `map_as_denoiser`."""
        if teacher is None and self.map_as_denoiser:
            teacher = cast(Prior, Diffusion(MapAsDenoiser(opened), num_ode_steps=1))
        return Consistency(opened, self.num_steps, teacher)
