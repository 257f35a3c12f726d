"""`phase`: phase retrieval from an oversampled Fourier transform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.types import Shape
from bench.core.values import is_positive, require

__all__ = ["Phase"]


@dataclass(frozen=True)
class Phase:
    """A(x): amplitude of the centred orthonormal Fourier transform (phase retrieval).

    Each side is first padded with int(oversample / 8 side) zeros, as in Chung et al., Diffusion Posterior Sampling,
    ICLR 2023, https://arxiv.org/abs/2209.14687. At amplitude zero the gradient is zero.
    """

    oversample: float  # each side is padded with int(oversample / 8 side) zeros at both ends

    linear: ClassVar[bool] = False
    masked: ClassVar[bool] = False
    intensities: ClassVar[bool] = False
    tiny: ClassVar[Mapping[str, object]] = {"oversample": 2.0}  # for tests

    def __post_init__(self) -> None:
        require(
            is_positive(self.oversample),
            f"phase: oversample must be positive, got {self.oversample!r}",
        )

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        rows, columns = self._padding(x.shape)
        padded = F.pad(x, [columns, columns, rows, rows])
        # the origin of x affects phases only, so that x need not be centred
        return torch.fft.fftshift(torch.fft.fft2(padded, norm="ortho").abs(), dim=(-2, -1))

    def measured_shape(self, x_shape: Shape) -> Shape:
        rows, columns = self._padding(x_shape)
        *channels, height, width = x_shape
        return (*channels, height + 2 * rows, width + 2 * columns)

    def _padding(self, x_shape: Shape) -> tuple[int, int]:
        return int(self.oversample / 8 * x_shape[-2]), int(self.oversample / 8 * x_shape[-1])
