"""`fourier`: an undersampled Fourier transform, as in magnetic resonance imaging with a single coil."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.packed import mask_of
from bench.core.types import Shape
from bench.core.values import is_positive, require
from bench.numerics.spectrum import AxisSpectrum
from bench.operators._common import describe_size

__all__ = ["Fourier"]


@dataclass(frozen=True)
class Fourier:
    """A(x) = mask F x: lines of the centred orthonormal Fourier transform of each channel, as in single-coil MRI.

    The real parts of all channels come first, then their imaginary parts: (2 c, h, w), with independent noise. A line
    is a column of the transform, and round(w / acceleration) lines are measured: the round(centre_fraction w) around
    frequency zero, at least one, and others that are random for each image. Images are real, so that lines k and -k
    contain the same up to noise: A^T A is diagonal in the basis of cos + sin along the width, with 1 where both lines
    are measured and 1/2 where one is.
    """

    acceleration: float = 4.0  # number of all lines over that of measured lines, 1 or more
    centre_fraction: float = 0.08  # share of all lines that are measured around frequency zero

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = True
    intensities: ClassVar[bool] = False
    tiny: ClassVar[Mapping[str, object]] = {"acceleration": 2.0, "centre_fraction": 0.2}

    def __post_init__(self) -> None:
        fast = is_positive(self.acceleration) and self.acceleration >= 1
        require(fast, f"fourier: acceleration must be 1 or more, got {self.acceleration!r}")
        share = is_positive(self.centre_fraction) and self.centre_fraction <= 1
        require(share, f"fourier: centre_fraction must be in (0, 1], got {self.centre_fraction!r}")

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        transform = torch.fft.fftshift(torch.fft.fft2(x, norm="ortho"), dim=(-2, -1))
        return mask_of(y) * torch.cat([transform.real, transform.imag], dim=1)

    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        real, imaginary = (mask_of(y) * v).chunk(2, dim=1)
        transform = torch.fft.ifftshift(torch.complex(real, imaginary), dim=(-2, -1))
        return torch.fft.ifft2(transform, norm="ortho").real

    def picture(self, y: Tensor) -> Tensor:
        """Return the images that result if all values that were not measured are set to zero."""
        return self.adjoint(y.chunk(2, dim=1)[0], y)

    def spectrum(self, y: Tensor, x_shape: Shape) -> AxisSpectrum:
        width = x_shape[-1]
        frequency = torch.arange(width, device=y.device) - width // 2
        line = mask_of(y)[:, :1, :1]
        mirrored = line[..., (width // 2 - frequency).remainder(width)]
        angle = 2 * math.pi / width * torch.outer(frequency, frequency + width // 2).double()
        hartley = (angle.cos() + angle.sin()) / math.sqrt(width)  # orthonormal, a frequency per row
        values = ((line + mirrored) / 2).sqrt().expand(-1, *x_shape)
        return AxisSpectrum(values, (None, None, hartley.mT.to(y)))

    def measured_shape(self, x_shape: Shape) -> Shape:
        channels, height, width = x_shape
        num_lines, num_centre = self._num_lines(width)
        require(
            1 <= num_centre <= num_lines,
            f"fourier: acceleration {self.acceleration} measures {num_lines} lines of {describe_size(x_shape)}, fewer "
            f"than the {num_centre} of centre_fraction {self.centre_fraction}",
        )
        return (2 * channels, height, width)

    def draw_mask(self, uniform: Tensor) -> Tensor:
        n, channels, height, width = uniform.shape
        num_lines, num_centre = self._num_lines(width)
        first = width // 2 - num_centre // 2
        order = uniform[:, 0, 0].clone()
        order[:, first : first + num_centre] = -1
        rank = order.argsort(stable=True).argsort()
        lines = (rank < num_lines).to(uniform)[:, None, None]
        return lines.expand(n, 2 * channels, height, width)

    def _num_lines(self, width: int) -> tuple[int, int]:
        """Return the number of measured lines, and of those around frequency zero."""
        return round(width / self.acceleration), max(1, round(self.centre_fraction * width))
