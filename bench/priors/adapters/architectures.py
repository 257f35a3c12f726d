"""Sizes of published UNets in guided-diffusion's layout, which consistency models and torchcfm share.

Dhariwal and Nichol, Diffusion Models Beat GANs on Image Synthesis, NeurIPS 2021, https://arxiv.org/abs/2105.05233.
Each is diffusers' `UNet2DModel` with the arguments of `unet_config`, up to the names of its weights (`unet_keys.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from bench.core.registry import filled
from bench.core.values import is_count, is_positive

QKV_ORDERS = ("by_head", "by_kind")
COUNTS = ("side", "channels", "layers", "in_channels", "out_channels", "head", "groups")


@dataclass(frozen=True)
class Architecture:
    """A UNet with one level per multiplier of `channels`; `attention` lists the levels that have it, 0 the finest.

    scale_shift: whether the time scales normalised activations, or is only added. qkv: the order of the rows of an
    attention's one matrix: q, k, v of each head in turn (`by_head`), or q of all heads, then k, then v (`by_kind`).
    """

    side: int  # pixels along an image
    channels: int
    multipliers: tuple[int, ...]
    layers: int  # residual blocks of a level on the way down; the way up has one more
    attention: tuple[int, ...]
    scale_shift: bool
    out_channels: int = 3  # twice in_channels where a variance is learned, too
    num_classes: int | None = None
    in_channels: int = 3
    head: int = 64  # channels of an attention head
    groups: int = 32  # of a normalisation
    block_resampling: bool = True  # residual blocks change the resolution, or single convolutions
    qkv: str = "by_head"

    def __post_init__(self) -> None:
        for name in ("multipliers", "attention"):  # lists in a suite
            given = getattr(self, name)
            if not isinstance(given, Iterable):
                raise ValueError(f"{name}: expected a list, got {given!r}")
            object.__setattr__(self, name, tuple(given))
        self._check_counts()
        if self.qkv not in QKV_ORDERS:
            raise ValueError(f"qkv: expected one of {', '.join(QKV_ORDERS)}, got {self.qkv!r}")
        halvings = len(self.multipliers) - 1
        if self.side % 2**halvings:
            raise ValueError(
                f"side: expected a multiple of {2**halvings} pixels, got {self.side!r}"
            )
        if not set(self.attention) <= set(range(halvings + 1)):
            raise ValueError(f"attention: expected levels up to {halvings}, got {self.attention}")
        self._check_divisors()

    def _check_counts(self) -> None:
        counts = {name: getattr(self, name) for name in COUNTS} | dict(enumerate(self.multipliers))
        for name, value in counts.items():
            if not is_count(value):
                field = f"multipliers[{name}]" if isinstance(name, int) else name
                raise ValueError(f"{field}: expected a whole number, 1 or more, got {value!r}")
        if not self.multipliers:
            raise ValueError("multipliers: expected one or more")
        if self.out_channels not in (self.in_channels, 2 * self.in_channels):
            raise ValueError(
                f"out_channels: expected in_channels, {self.in_channels}, or twice as many with a learned variance, "
                f"got {self.out_channels}"
            )
        if self.num_classes is not None and not is_count(self.num_classes):
            raise ValueError(f"num_classes: expected a count or nothing, got {self.num_classes!r}")

    def _check_divisors(self) -> None:
        widths = [self.channels * multiplier for multiplier in self.multipliers]
        # the middle has attention, too
        attending = [widths[level] for level in (*self.attention, -1)]
        for name, levels in (("groups", widths), ("head", attending)):
            odd = [width for width in levels if width % getattr(self, name)]
            if odd:
                raise ValueError(
                    f"{name}: expected a divisor of {odd[0]} channels, got {getattr(self, name)}"
                )

    def scaled(self, width: float, side: int | None) -> Architecture:
        """Return the architecture with a share `width` of the channels and, unless None, another `side`."""
        channels = self.channels * width if is_positive(width) else 0
        if not channels or width > 1 or channels % 8:
            raise ValueError(
                f"width: expected a share that leaves a multiple of 8 channels, got {width!r}"
            )
        changes: dict[str, Any] = {"side": side or self.side, "channels": round(channels)}
        if width < 1:
            levels = [round(channels * multiplier) for multiplier in self.multipliers]
            changes["head"] = max(8, round(width * self.head))
            changes["groups"] = math.gcd(self.groups, *levels)
        return replace(self, **changes)


_IMAGENET64 = Architecture(
    64, 192, (1, 2, 3, 4), 3, (1, 2, 3), True, num_classes=1000, qkv="by_kind"
)
_ADM256 = Architecture(256, 256, (1, 1, 2, 2, 4, 4), 2, (3, 4, 5), True, out_channels=6)
ARCHITECTURES = {
    "adm-ffhq-256": Architecture(256, 128, (1, 1, 2, 2, 4, 4), 1, (4,), True, out_channels=6),
    "adm-imagenet-256": _ADM256,
    "adm-imagenet-256-classes": replace(_ADM256, num_classes=1000),
    "adm-imagenet-64": replace(_IMAGENET64, out_channels=6),
    "consistency-lsun-256": Architecture(
        256, 256, (1, 1, 2, 2, 4, 4), 2, (3, 4, 5), False, qkv="by_kind"
    ),
    "consistency-imagenet-64": _IMAGENET64,
    "torchcfm-cifar10": Architecture(32, 128, (1, 2, 2, 2), 2, (1,), False, block_resampling=False),
}


def architecture_of(
    given: str | Mapping[str, Any], width: float = 1.0, side: int | None = None
) -> Architecture:
    """Return a published architecture by name, or one from its fields, scaled; ValueError names a wrong field."""
    if isinstance(given, str):
        if given not in ARCHITECTURES:
            names = ", ".join(ARCHITECTURES)
            raise ValueError(f"architecture: expected one of {names}, got {given!r}")
        return ARCHITECTURES[given].scaled(width, side)
    found = filled(Architecture, "architecture", given)
    return found if width == 1 and side is None else found.scaled(width, side)


def unet_config(architecture: Architecture) -> dict[str, Any]:
    """Return the arguments of diffusers' UNet2DModel."""
    a = architecture
    resampled = "Resnet{}sampleBlock2D" if a.block_resampling else "{}Block2D"
    kinds = [
        "Attn{}Block2D" if level in a.attention else resampled
        for level in range(len(a.multipliers))
    ]
    resampling = "resnet" if a.block_resampling else "conv"
    return {
        "sample_size": a.side,
        "in_channels": a.in_channels,
        "out_channels": a.out_channels,
        "layers_per_block": a.layers,
        "block_out_channels": [a.channels * multiplier for multiplier in a.multipliers],
        "down_block_types": [kind.format("Down") for kind in kinds],
        "up_block_types": [kind.format("Up") for kind in reversed(kinds)],
        "downsample_type": resampling,
        "upsample_type": resampling,
        "attention_head_dim": a.head,
        "norm_num_groups": a.groups,
        "attn_norm_num_groups": a.groups,
        "resnet_time_scale_shift": "scale_shift" if a.scale_shift else "default",
        "num_class_embeds": a.num_classes,
    }


def outline(architecture: Architecture) -> nn.Module:
    """Return the network on the device meta, without memory for its weights."""
    from diffusers.models.unets.unet_2d import UNet2DModel

    with torch.device("meta"):
        return UNet2DModel(**unet_config(architecture))
