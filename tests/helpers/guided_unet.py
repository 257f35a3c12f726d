"""A UNet with the modules, names and order of computation of guided-diffusion's, written apart from what is tested.

Consistency models have convolutions of two axes in their attention and rows ordered by kind, torchcfm's single
convolutions where the resolution changes, and times in [0, 1].
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.priors.adapters.architectures import Architecture

# an architecture of two levels, the lower with attention and two heads
SMALL: dict[str, Any] = {
    "side": 8,
    "channels": 8,
    "multipliers": (1, 2),
    "layers": 1,
    "attention": (1,),
    "scale_shift": True,
    "head": 8,
    "groups": 4,
}


def reference(architecture: Architecture, conv_dims: int = 1, seed: int = 0) -> UNet:
    """A network of random weights, none of them zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet(architecture, conv_dims).eval().requires_grad_(False)


class Steps(nn.Sequential):
    """Modules one after another, of which residual blocks see the time."""

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        for module in self:
            x = module(x, time) if isinstance(module, Residual) else module(x)
        return x


class Residual(nn.Module):
    """Two convolutions beside a way past them; `resample` is up, down or nothing, after the first normalisation."""

    def __init__(self, inputs: int, outputs: int, a: Architecture, resample: str = "") -> None:
        super().__init__()
        self.resample, self.scale_shift = resample, a.scale_shift
        self.in_layers = nn.Sequential(
            nn.GroupNorm(a.groups, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        width = 2 * outputs if a.scale_shift else outputs
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(4 * a.channels, width))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(a.groups, outputs),
            nn.SiLU(),
            nn.Dropout(0.0),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        same = inputs == outputs
        self.skip_connection = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        norm, activation, convolution = self.in_layers
        h = activation(norm(x))
        if self.resample == "up":
            h, x = (F.interpolate(part, scale_factor=2, mode="nearest") for part in (h, x))
        if self.resample == "down":
            h, x = (F.avg_pool2d(part, 2) for part in (h, x))
        h = convolution(h)
        moved = self.emb_layers(time)[:, :, None, None]
        if self.scale_shift:
            scale, shift = moved.chunk(2, dim=1)
            h = self.out_layers[0](h) * (1 + scale) + shift
            h = self.out_layers[1:](h)
        else:
            h = self.out_layers(h + moved)
        return self.skip_connection(x) + h


class Attention(nn.Module):
    """Pixels that look at each other, in heads."""

    def __init__(self, channels: int, a: Architecture, conv_dims: int) -> None:
        super().__init__()
        convolution = nn.Conv1d if conv_dims == 1 else nn.Conv2d
        self.heads, self.order, self.conv_dims = channels // a.head, a.qkv, conv_dims
        self.norm = nn.GroupNorm(a.groups, channels)
        self.qkv = convolution(channels, 3 * channels, 1)
        self.proj_out = convolution(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, c, *size = x.shape
        flat = (n, c, -1) if self.conv_dims == 1 else (n, c, *size)
        rows = self.qkv(self.norm(x).reshape(flat)).reshape(n, 3 * c, -1)
        if self.order == "by_head":
            q, k, v = rows.view(n, self.heads, 3, c // self.heads, -1).unbind(2)
        else:
            q, k, v = rows.view(n, 3, self.heads, c // self.heads, -1).unbind(1)
        weight = torch.softmax(q.transpose(-1, -2) @ k / math.sqrt(c // self.heads), dim=-1)
        seen = (v @ weight.transpose(-1, -2)).reshape(flat)
        return x + self.proj_out(seen).reshape(x.shape)


class Down(nn.Module):
    """A convolution of stride two."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Up(nn.Module):
    """Pixels doubled, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class UNet(nn.Module):
    """The network: x (n, c, h, w), times (n,) and classes (n,) or None."""

    def __init__(self, a: Architecture, conv_dims: int) -> None:
        super().__init__()
        self.channels = a.channels
        time = 4 * a.channels
        self.time_embed = nn.Sequential(
            nn.Linear(a.channels, time), nn.SiLU(), nn.Linear(time, time)
        )
        if a.num_classes is not None:
            self.label_emb = nn.Embedding(a.num_classes, time)
        widths = [multiplier * a.channels for multiplier in a.multipliers]
        last, width = len(widths) - 1, widths[0]
        self.input_blocks = nn.ModuleList([Steps(nn.Conv2d(a.in_channels, width, 3, padding=1))])
        kept = [width]
        for level, wanted in enumerate(widths):
            for _ in range(a.layers):
                parts: list[nn.Module] = [Residual(width, wanted, a)]
                if level in a.attention:
                    parts.append(Attention(wanted, a, conv_dims))
                self.input_blocks.append(Steps(*parts))
                width = wanted
                kept.append(width)
            if level < last:
                down = Residual(width, width, a, "down") if a.block_resampling else Down(width)
                self.input_blocks.append(Steps(down))
                kept.append(width)
        self.middle_block = Steps(
            Residual(width, width, a), Attention(width, a, conv_dims), Residual(width, width, a)
        )
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(last + 1)):
            for layer in range(a.layers + 1):
                parts = [Residual(width + kept.pop(), widths[level], a)]
                width = widths[level]
                if level in a.attention:
                    parts.append(Attention(width, a, conv_dims))
                if level and layer == a.layers:
                    parts.append(
                        Residual(width, width, a, "up") if a.block_resampling else Up(width)
                    )
                self.output_blocks.append(Steps(*parts))
        self.out = nn.Sequential(
            nn.GroupNorm(a.groups, width),
            nn.SiLU(),
            nn.Conv2d(width, a.out_channels, 3, padding=1),
        )

    def forward(self, x: Tensor, times: Tensor, classes: Tensor | None = None) -> Tensor:
        half = self.channels // 2
        frequencies = torch.exp(-math.log(10000) * torch.arange(half) / half)
        angles = times.float()[:, None] * frequencies
        time = self.time_embed(torch.cat([angles.cos(), angles.sin()], dim=1))
        if classes is not None:
            time = time + self.label_emb(classes)
        kept = []
        for block in self.input_blocks:
            x = block(x, time)
            kept.append(x)
        x = self.middle_block(x, time)
        for block in self.output_blocks:
            x = block(torch.cat([x, kept.pop()], dim=1), time)
        return self.out(x)
