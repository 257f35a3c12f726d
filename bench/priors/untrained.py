"""`untrained`: networks of published architectures with random weights, for timing only. Their images mean nothing.

Dhariwal and Nichol, Diffusion Models Beat GANs on Image Synthesis, NeurIPS 2021, https://arxiv.org/abs/2105.05233
(ADM); the FFHQ one is that of Chung et al., ICLR 2023, https://arxiv.org/abs/2209.14687; Song et al., Consistency
Models, ICML 2023, https://arxiv.org/abs/2303.01469. One network is the denoiser of a diffusion model and, in one step,
a consistency model. Both have the preconditioning of Karras et al., so ADM's own noise schedule is not used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from bench.core.artefacts import Json
from bench.core.errors import UserError
from bench.core.rng import Rng
from bench.core.types import Prior
from bench.numerics.nets import initialise
from bench.priors import _networks as networks
from bench.priors._consistency import Consistency
from bench.priors._diffusion import Diffusion
from bench.priors.adapters.diffusers import CONSISTENCY, EDM, Pipeline, scheduler_of
from bench.priors.adapters.preconditioning import ConsistencyMap, EDMDenoiser

__all__ = ["UntrainedFamily"]

Tensors = dict[str, Tensor]

# of the published consistency models
LIMITS = {"sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5}
HEAD = 64  # channels of an attention head
GROUPS = 32  # of a normalisation


@dataclass(frozen=True)
class Architecture:
    """A UNet with one level per multiplier of `channels`; `attention` lists the levels that have it, 0 the finest.

    side: pixels along an image; out_channels: 6 where a variance is learned, too; scale_shift: whether the time scales
    normalised activations, or is only added.
    """

    side: int
    channels: int
    multipliers: tuple[int, ...]
    layers: int
    attention: tuple[int, ...]
    scale_shift: bool
    out_channels: int = 3
    num_classes: int | None = None


ARCHITECTURES = {
    "adm-ffhq-256": Architecture(256, 128, (1, 1, 2, 2, 4, 4), 1, (4,), True, out_channels=6),
    "adm-imagenet-256": Architecture(
        256, 256, (1, 1, 2, 2, 4, 4), 2, (3, 4, 5), True, out_channels=6
    ),
    "consistency-lsun-256": Architecture(256, 256, (1, 1, 2, 2, 4, 4), 2, (3, 4, 5), False),
    "consistency-imagenet-64": Architecture(
        64, 192, (1, 2, 3, 4), 3, (1, 2, 3), True, num_classes=1000
    ),
}


@dataclass(frozen=True)
class UntrainedFamily:
    """An architecture, narrower or at another size where asked; sizes that it cannot have raise ValueError."""

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
        if self.architecture not in ARCHITECTURES:
            raise ValueError(
                f"architecture: expected one of {', '.join(ARCHITECTURES)}, got {self.architecture!r}"
            )
        channels, halvings = self.chosen.channels * self.width, len(self.chosen.multipliers) - 1
        if not 0 < self.width <= 1 or channels % 8:
            raise ValueError(
                f"width: expected a share that leaves a multiple of 8 channels, got {self.width!r}"
            )
        if self.pixels % 2**halvings:
            raise ValueError(
                f"side: expected a multiple of {2**halvings} pixels, got {self.side!r}"
            )

    @property
    def chosen(self) -> Architecture:
        return ARCHITECTURES[self.architecture]

    @property
    def pixels(self) -> int:
        return self.side or self.chosen.side

    def fit(self, data: Tensors, folder: Path, teacher: Prior | None) -> tuple[Tensors, Json]:
        """Return no tensors: weights are drawn from a random stream whenever the prior is loaded."""
        side = data["train"].shape[-1]
        if side != self.pixels:
            raise UserError(
                f"{self.architecture}: is for {self.pixels} pixels, and the images have {side}; set side"
            )
        return {}, {"num_parameters": networks.num_parameters(outline(self))}

    def load(self, tensors: Tensors, folder: Path, teacher: Prior | None) -> Consistency:
        """Return the network as a denoiser and, in one step, as a decoder."""
        unet = outline(self).to_empty(device="cpu")
        initialise(
            unet, Rng(("untrained", self.architecture), (0,), dtype=torch.float32), gain=3**-0.5
        )
        label = None if self.chosen.num_classes is None else 0
        unet = networks.frozen(unet)
        denoiser = EDMDenoiser(Pipeline(unet, scheduler_of(EDM, LIMITS), label))
        one_step = ConsistencyMap(Pipeline(unet, scheduler_of(CONSISTENCY, LIMITS), label))
        # a prior without log_prob
        return Consistency(one_step, 1, cast(Prior, Diffusion(denoiser, num_ode_steps=10)))


def unet_config(settings: UntrainedFamily) -> dict[str, Any]:
    """Return the arguments of diffusers' UNet2DModel."""
    chosen, levels = settings.chosen, range(len(settings.chosen.multipliers))
    channels = [
        round(settings.width * chosen.channels * multiplier) for multiplier in chosen.multipliers
    ]
    kinds = ["Attn" if level in chosen.attention else "Resnet" for level in levels]
    names = {
        "Attn": ("AttnDownBlock2D", "AttnUpBlock2D"),
        "Resnet": ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"),
    }
    groups = math.gcd(GROUPS, *channels)
    return {
        "sample_size": settings.pixels,
        "in_channels": 3,
        "out_channels": chosen.out_channels,
        "layers_per_block": chosen.layers,
        "block_out_channels": channels,
        "down_block_types": [names[kind][0] for kind in kinds],
        "up_block_types": [names[kind][1] for kind in reversed(kinds)],
        "downsample_type": "resnet",
        "upsample_type": "resnet",
        "attention_head_dim": max(8, round(settings.width * HEAD)),
        "norm_num_groups": groups,
        "attn_norm_num_groups": groups,
        "resnet_time_scale_shift": "scale_shift" if chosen.scale_shift else "default",
        "num_class_embeds": chosen.num_classes,
    }


def outline(settings: UntrainedFamily) -> nn.Module:
    """Return the network without memory for its weights."""
    from diffusers.models.unets.unet_2d import UNet2DModel

    with torch.device("meta"):
        return UNet2DModel(**unet_config(settings))
