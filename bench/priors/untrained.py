"""`untrained`: networks of published architectures with random weights, for timing only. Their images mean nothing.

Dhariwal and Nichol, Diffusion Models Beat GANs on Image Synthesis, NeurIPS 2021, https://arxiv.org/abs/2105.05233
(ADM); the FFHQ network is that of Chung et al., ICLR 2023, https://arxiv.org/abs/2209.14687; Song et al., Consistency
Models, ICML 2023, https://arxiv.org/abs/2303.01469. The same network is the denoiser of a diffusion model and, in one
step, a consistency model. Both have the preconditioning of Karras et al., so that ADM's noise schedule is not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor

from bench.core.artefacts import Json
from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.core.types import Prior
from bench.numerics.nets import initialise
from bench.priors import _networks as networks
from bench.priors._consistency import Consistency
from bench.priors._diffusion import Diffusion
from bench.priors.adapters.architectures import Architecture, architecture_of, outline
from bench.priors.adapters.diffusers import CONSISTENCY, EDM, Pipeline, scheduler_of
from bench.priors.adapters.preconditioning import ConsistencyMap, EDMDenoiser

__all__ = ["UntrainedFamily"]

Tensors = dict[str, Tensor]

# of the published consistency models
LIMITS = {"sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5}


@dataclass(frozen=True)
class UntrainedFamily:
    """An architecture, optionally narrower or at another size; impossible sizes raise ValueError."""

    architecture: str  # one of ARCHITECTURES
    width: float = 1.0  # share of the published channels
    side: int | None = None  # pixels along an image; the published ones by default

    timing_only: ClassVar[bool] = True  # its images mean nothing
    tiny_shape: ClassVar[tuple[int, ...]] = (3, 16, 16)
    tiny: ClassVar[Mapping[str, object]] = {
        "architecture": "consistency-imagenet-64",
        "width": 1 / 24,
        "side": 16,
    }  # for tests

    def __post_init__(self) -> None:
        _ = self.chosen

    @property
    def chosen(self) -> Architecture:
        return architecture_of(self.architecture, self.width, self.side)

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Return no tensors, since weights are drawn from a random stream whenever the prior is loaded."""
        side = data["train"].shape[-1]
        if side != self.chosen.side:
            pixels = self.chosen.side
            raise UserError(
                f"{self.architecture}: is for {pixels} pixels, and the images have {side}; set side"
            )
        return {}, {"num_parameters": networks.num_parameters(outline(self.chosen))}

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> Consistency:
        """Return the network as a denoiser and, in one step, as a decoder."""
        unet = outline(self.chosen).to_empty(device="cpu")
        initialise(
            unet, Rng(("untrained", self.architecture), (0,), dtype=torch.float32), gain=3**-0.5
        )
        label = None if self.chosen.num_classes is None else 0
        unet = networks.frozen(unet)
        denoiser = EDMDenoiser(Pipeline(unet, scheduler_of(EDM, LIMITS), label))
        one_step = ConsistencyMap(Pipeline(unet, scheduler_of(CONSISTENCY, LIMITS), label))
        # a prior without log_prob
        return Consistency(one_step, 1, cast(Prior, Diffusion(denoiser, num_ode_steps=10)))
