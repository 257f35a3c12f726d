"""`score_sde`: a variance-exploding model of score-SDE (NCSN++), in the diffusers folder format.

Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, ICLR 2021.
https://arxiv.org/abs/2011.13456
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.rng import Rng
from bench.core.types import Prior
from bench.priors import _networks as networks
from bench.priors._checkpoint import Checkpoint
from bench.priors._foreign import RANDOM, Foreign, denoising_prior, fit_foreign
from bench.priors.adapters.diffusers import Pipeline, open_pipeline, scheduler_of
from bench.priors.adapters.score_sde import RANGES, SCORE_SDE, ScoreSDE

__all__ = ["ScoreSDEFamily"]


@dataclass(frozen=True)
class ScoreSDEFamily:
    """A network that gives the score of noisy images; its ODE is the decoder."""

    # a folder in the diffusers format, a name of `weights list`, a hub id, or `random`
    pipeline: str
    sha256: str = ""  # expected hash of the file of weights; "": not checked
    local_files_only: bool = True  # false: a hub id may be fetched over the network
    image_range: str = "[0, 1]"  # range of the network's training images; or [-1, 1]
    side: int = 8  # pixels along an image of a random network
    channels: tuple[int, ...] = (8, 16)  # of a random network, one entry per resolution
    clip_denoised: bool = False  # keep E[x | x_t] in [-1, 1]
    num_ode_steps: int = 36  # steps of the decoder's ODE; each costs a row

    foreign: ClassVar[bool] = True  # trained by others: the card compares no draws with images
    tiny_shape: ClassVar[tuple[int, ...]] = (3, 8, 8)
    tiny: ClassVar[Mapping[str, object]] = {"pipeline": "random", "num_ode_steps": 2}  # for tests

    def __post_init__(self) -> None:
        if self.image_range not in RANGES:
            names = " or ".join(RANGES)
            raise ValueError(f"image_range: expected {names}, got {self.image_range!r}")

    def fit(
        self, data: Mapping[str, Tensor], folder: Path, teacher: Prior | None
    ) -> tuple[dict[str, Tensor], Json]:
        """Open the folder, and write `folder`/pipeline; the card has an examination."""
        prior, card = self.opened()
        return fit_foreign(cast(Prior, prior), prior.denoiser.pipeline, data, folder, card)

    def opened(self) -> tuple[Foreign, Json]:
        """Return the prior in the folder, and the card of its weights."""
        card: Json = {"source": Path(self.pipeline).name}
        if self.pipeline == RANDOM:
            return self.prior_of(random_pipeline(self.side, self.channels)), card
        given = (None, self.local_files_only, self.sha256)
        return self.prior_of(Checkpoint(self.pipeline, *given).open()), card

    def load(self, tensors: Mapping[str, Tensor], folder: Path, teacher: Prior | None) -> Foreign:
        """Return the prior in `folder`/pipeline."""
        return self.prior_of(open_pipeline(folder / "pipeline"))

    def prior_of(self, pipeline: Pipeline) -> Foreign:
        """Return a pipeline as a prior; raise UserError, one line, for one with another scheduler."""
        denoiser = ScoreSDE(pipeline, RANGES[self.image_range])
        return denoising_prior(denoiser, self.num_ode_steps, self.clip_denoised)


def random_pipeline(side: int, channels: tuple[int, ...]) -> Pipeline:
    """Return an NCSN++ with random weights, always the same ones, and attention in the middle only."""
    from diffusers.models.unets.unet_2d import UNet2DModel

    no_groups: Any = None  # their number follows from the channels, as in NCSN++

    def build() -> Any:
        return UNet2DModel(
            sample_size=side,
            block_out_channels=channels,
            layers_per_block=1,
            time_embedding_type="fourier",
            down_block_types=("SkipDownBlock2D",) * len(channels),
            up_block_types=("SkipUpBlock2D",) * len(channels),
            norm_num_groups=no_groups,
            norm_eps=1e-6,
            mid_block_scale_factor=2**0.5,
        )

    unet = networks.new(build, Rng(("random weights", side), (0,), dtype=torch.float32))
    # the usual 1380 would give rounding errors of that size in decoded images
    noise = {"sigma_max": 10.0}
    return Pipeline(networks.frozen(unet), scheduler_of(SCORE_SDE, noise))
