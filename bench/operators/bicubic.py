"""`bicubic`: bicubic downsampling with antialiasing, as in super-resolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import Shape
from bench.core.values import is_count, require
from bench.numerics.spectrum import AxisSpectrum, spectrum_of_axes
from bench.operators._common import describe_size

__all__ = ["Bicubic"]


@dataclass(frozen=True)
class Bicubic:
    """A(x): bicubic downsampling by `factor` with antialiasing, as in MATLAB's imresize and the code of DPS.

    Pixel i of the result lies at (i + 1/2) factor - 1/2. It is the mean of the image around it, weighted by the cubic
    kernel of Keys 1981 (a = -1/2) stretched by `factor`; weights are divided by their sum, and borders reflect with the
    edge pixel repeated. The kernel separates, so that A(x) = R x C^T with one matrix per axis; the adjoint is R^T v C.
    """

    factor: int  # pixels of the image for each pixel of the result, along each side

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = False
    tiny: ClassVar[Mapping[str, object]] = {"factor": 2}  # for tests

    def __post_init__(self) -> None:
        require(
            is_count(self.factor),
            f"bicubic: factor must be a positive integer, got {self.factor!r}",
        )

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self._matrix(x.shape[-2], x) @ x @ self._matrix(x.shape[-1], x).mT

    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        rows, columns = (self._matrix(side * self.factor, v) for side in v.shape[-2:])
        return rows.mT @ v @ columns

    def spectrum(self, y: Tensor, x_shape: Shape) -> AxisSpectrum:
        like = torch.empty((), dtype=torch.float64, device=y.device)
        rows, columns = (self._matrix(side, like) for side in x_shape[-2:])
        return spectrum_of_axes((None, rows, columns), x_shape, y)

    def measured_shape(self, x_shape: Shape) -> Shape:
        *channels, height, width = x_shape
        divides = height % self.factor == 0 and width % self.factor == 0
        require(divides, f"bicubic: factor {self.factor} does not divide {describe_size(x_shape)}")
        return (*channels, height // self.factor, width // self.factor)

    def _matrix(self, side: int, like: Tensor) -> Tensor:
        """Return the downsampling of one axis, (side / factor, side), of the dtype and on the device of `like`."""
        places = torch.arange(side // self.factor, dtype=torch.float64, device=like.device)
        centre = ((places + 0.5) * self.factor - 0.5)[:, None]
        offsets = torch.arange(4 * self.factor + 1, device=like.device)
        neighbour = (centre - 2 * self.factor).ceil().long() + offsets
        weights = _keys((centre - neighbour) / self.factor)
        weights = weights / weights.sum(1, keepdim=True)
        folded = neighbour.remainder(2 * side)
        inside = torch.minimum(folded, 2 * side - 1 - folded)
        matrix = weights.new_zeros(len(places), side).scatter_add(1, inside, weights)
        return matrix.to(like.dtype)


def _keys(t: Tensor) -> Tensor:
    """Return the cubic kernel with a = -1/2, which is zero from 2 on."""
    t = t.abs()
    near = (1.5 * t - 2.5) * t**2 + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return torch.where(t <= 1, near, torch.where(t < 2, far, torch.zeros_like(t)))
