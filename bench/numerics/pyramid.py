"""Small convolutional networks on images, without normalisation, so that rows and pixels far apart do not interact.

Their cost grows in proportion to the number of pixels: all work is done at half the image's size and coarser ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .nets import time_features

NUM_TIME_FEATURES = 8


class Block(nn.Module):
    """A residual block on features (n, c, h, w): convolutions of 3 x 3 and of 1 x 1 pixels."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(num_channels, num_channels, 3, padding=1)
        self.mixed = nn.Conv2d(num_channels, num_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.mixed(functional.silu(self.near(functional.silu(features))))


class Pyramid(nn.Module):
    """Features of images (n, num_inputs, h, w) at `num_halvings` sizes; each size also depends on all coarser ones.

    timed: features depend on a time in [0, 1] as well. Two further inputs are a pixel's row and column.
    """

    def __init__(
        self, num_inputs: int, num_channels: int, num_halvings: int, timed: bool = False
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(4 * num_inputs + 2, num_channels, 3, padding=1)
        self.time = nn.Linear(NUM_TIME_FEATURES, num_channels) if timed else None
        self.down = nn.ModuleList(Block(num_channels) for _ in range(num_halvings))
        self.halve = nn.ModuleList(
            nn.Conv2d(num_channels, num_channels, 2, stride=2) for _ in range(num_halvings - 1)
        )
        self.up = nn.ModuleList(Block(num_channels) for _ in range(num_halvings - 1))

    def forward(self, image: Tensor, time: Tensor | None = None) -> list[Tensor]:
        """Return features (n, num_channels, h / 2^k, w / 2^k), the coarsest first, k = 1 last; time (n,)."""
        blocks = functional.pixel_unshuffle(image, 2)
        here = self.first(torch.cat([blocks, places(blocks)], 1))
        if self.time is not None and time is not None:
            here = here + self.time(time_features(time, NUM_TIME_FEATURES))[:, :, None, None]
        finer = []
        for i, block in enumerate(self.down):
            here = block(here)
            if i < len(self.halve):
                finer.append(here)
                here = self.halve[i](here)
        features = [here]
        for block in self.up:
            features.append(
                block(finer.pop() + functional.interpolate(features[-1], scale_factor=2))
            )
        return features


class UNet(nn.Module):
    """A pyramid whose finest features make an image: (n, num_inputs, h, w), (n,) -> (n, num_outputs, h, w)."""

    def __init__(
        self, num_inputs: int, num_outputs: int, num_channels: int, num_halvings: int
    ) -> None:
        super().__init__()
        self.pyramid = Pyramid(num_inputs, num_channels, num_halvings, timed=True)
        self.out = nn.Conv2d(num_channels, 4 * num_outputs, 3, padding=1)

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        features = self.pyramid(image, time)[-1]
        return functional.pixel_shuffle(self.out(functional.silu(features)), 2)


def places(image: Tensor) -> Tensor:
    """Return rows and columns of the pixels of images (n, c, h, w), each from -1 to 1, (n, 2, h, w)."""
    height, width = image.shape[-2:]
    row = torch.linspace(-1, 1, height, dtype=image.dtype, device=image.device)[:, None]
    column = torch.linspace(-1, 1, width, dtype=image.dtype, device=image.device)
    place = torch.stack([row.expand(height, width), column.expand(height, width)])
    return place.expand(len(image), -1, -1, -1)
