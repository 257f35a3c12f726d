"""The convolutional networks of the sampler: small UNets on latents that are images."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.numerics.chunks import in_chunks, rows_of
from bench.numerics.nets import MLP
from bench.numerics.pyramid import UNet

from .sampler import TABLE_GAIN, Sampler
from .wavelets import WaveletMap

POOLED = 4  # pixels a side of the features from which log Z is predicted
NUMBERS = 2**21  # of the images in one call of a network


class ImageNet(nn.Module):
    """A UNet of a state and a pull, both in coordinates u (n, d), and of features (n, k, h, w), to u (n, d)."""

    def __init__(self, coordinates: WaveletMap, num_features: int, num_channels: int) -> None:
        super().__init__()
        self.coordinates, frame = coordinates.single(), coordinates.frame
        self.shape, self.rows = frame.shape, rows_of(frame.shape, NUMBERS)
        c = self.shape[0]
        self.unet = UNet(2 * c + num_features, c, num_channels, frame.num_halvings)

    def forward(self, u: Tensor, pull: Tensor, features: Tensor, time: Tensor) -> Tensor:
        return in_chunks(self._forward, self.rows, u, pull, features, time)[0]

    def _forward(
        self, u: Tensor, pull: Tensor, features: Tensor, time: Tensor
    ) -> tuple[Tensor, ...]:
        images = [self.coordinates.latents(part).unflatten(1, self.shape) for part in (u, pull)]
        corrections = self.unet(torch.cat([*images, features], 1), time)
        return (self.coordinates.coordinates(corrections.flatten(1)),)


class ImagePolicy(nn.Module):
    """Corrections to a guide's pull and precision, as `Policy`, by a UNet and by tables of one entry per band."""

    ends: ClassVar[tuple[str, ...]] = ("net.unet.out", "gain", "sharpness")  # zero at the start
    bands: Tensor

    def __init__(
        self, num_steps: int, coordinates: WaveletMap, num_features: int, num_channels: int
    ) -> None:
        super().__init__()
        self.num_steps = num_steps
        self.net = ImageNet(coordinates, num_features, num_channels)
        self.register_buffer("bands", coordinates.frame.bands(), persistent=False)
        num_bands = int(self.bands.max()) + 1
        self.gain = nn.Parameter(torch.zeros(num_steps, num_bands))
        self.sharpness = nn.Parameter(torch.zeros(num_steps, num_bands))

    def forward(
        self, z: Tensor, step: Tensor, pull: Tensor, precision: Tensor, features: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return corrected pull and precision (n, d) at states z (n, d) of steps `step` (n,) int64."""
        scale, time = precision.sqrt(), step.to(z.dtype) / self.num_steps
        change = scale * self.net(z, pull / scale, features, time)
        pull = pull * (TABLE_GAIN * self.gain[step]).exp()[:, self.bands] + change
        return pull, precision * (TABLE_GAIN * self.sharpness[step]).exp()[:, self.bands]


class ImageStudent(nn.Module):
    """The map z_0 -> z_T at once, as `Student`, by a UNet."""

    ends: ClassVar[tuple[str, ...]] = ("net.unet.out",)

    def __init__(self, coordinates: WaveletMap, num_features: int, num_channels: int) -> None:
        super().__init__()
        self.net = ImageNet(coordinates, num_features, num_channels)

    def forward(self, z: Tensor, y: Tensor, features: Tensor, teacher: Sampler) -> Tensor:
        precision, at_zero = 1 + teacher.curvature, teacher.pull_at_zero(z, y)
        scale = precision.rsqrt()
        correction = self.net(z, at_zero * scale, features, torch.zeros_like(z[:, 0]))
        return at_zero / precision + scale * (z + correction)


class ImageLogZ(nn.Module):
    """log Z of features (n, k, h, w), pooled; (n, 1)."""

    ends: ClassVar[tuple[str, ...]] = ("net.out",)

    def __init__(self, num_features: int, width: int) -> None:
        super().__init__()
        self.net = MLP(num_features * POOLED**2, 1, width, 1)

    @property
    def out(self) -> nn.Linear:
        return self.net.out

    def forward(self, features: Tensor, time: Tensor) -> Tensor:
        return self.net(functional.adaptive_avg_pool2d(features, POOLED).flatten(1), time)
