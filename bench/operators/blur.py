"""`blur`: a Gaussian blur."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import Shape
from bench.core.values import is_count, is_positive, require
from bench.numerics.spectrum import AxisSpectrum, spectrum_of_axes
from bench.operators._common import describe_size

__all__ = ["Blur"]


@dataclass(frozen=True)
class Blur:
    """A(x): each channel convolved with a normalised Gaussian, reflected at the borders; `std` in pixels.

    The Gaussian separates, so that A(x) = R x C^T with one matrix per axis; the adjoint is R^T v C.
    """

    kernel_size: int  # pixels along the kernel's side, odd
    std: float  # standard deviation of the kernel in pixels

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = False
    tiny: ClassVar[Mapping[str, object]] = {"kernel_size": 3, "std": 1.0}  # for tests

    def __post_init__(self) -> None:
        odd = is_count(self.kernel_size) and self.kernel_size % 2 == 1
        require(odd, f"blur: kernel_size must be a positive odd integer, got {self.kernel_size!r}")
        require(is_positive(self.std), f"blur: std must be positive, got {self.std!r}")

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self._matrix(x.shape[-2], x) @ x @ self._matrix(x.shape[-1], x).mT

    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        return self._matrix(v.shape[-2], v).mT @ v @ self._matrix(v.shape[-1], v)

    def spectrum(self, y: Tensor, x_shape: Shape) -> AxisSpectrum:
        like = torch.empty((), dtype=torch.float64, device=y.device)
        rows, columns = (self._matrix(side, like) for side in x_shape[-2:])
        return spectrum_of_axes((None, rows, columns), x_shape, y)

    def measured_shape(self, x_shape: Shape) -> Shape:
        fits = self.kernel_size // 2 < min(x_shape[-2:])
        require(
            fits,
            f"blur: half a kernel of {self.kernel_size} pixels must be smaller than {describe_size(x_shape)}",
        )
        return x_shape

    def stored(self) -> dict[str, Tensor]:
        """Return tensors to store with the measurements: the kernel."""
        return {"kernel": self.kernel()}

    def kernel(self) -> Tensor:
        """Return the two-dimensional kernel, (kernel_size, kernel_size), float64."""
        profile = self._profile(torch.zeros((), dtype=torch.float64))
        return torch.outer(profile, profile)

    def _matrix(self, side: int, like: Tensor) -> Tensor:
        """Return the blur of one axis, (side, side): row i has the weights of i's neighbours, folded at borders."""
        neighbour = torch.arange(side, device=like.device)[:, None] + self._offset(like.device)
        inside = side - 1 - (side - 1 - neighbour.abs()).abs()
        weights = self._profile(like).expand(side, -1)
        return like.new_zeros(side, side).scatter_add(1, inside, weights)

    def _profile(self, like: Tensor) -> Tensor:
        return torch.softmax(
            -0.5 * (self._offset(like.device).to(like.dtype) / self.std) ** 2, dim=0
        )

    def _offset(self, device: torch.device) -> Tensor:
        return torch.arange(self.kernel_size, device=device) - self.kernel_size // 2
