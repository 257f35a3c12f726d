"""`average-pool`: means of square blocks, as in super-resolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.types import Shape
from bench.core.values import is_count, require
from bench.numerics.spectrum import AxisSpectrum, spectrum_of_axes
from bench.operators._common import describe_size

__all__ = ["AveragePool"]


@dataclass(frozen=True)
class AveragePool:
    """A(x): means over blocks of `factor` x `factor` pixels (super-resolution by average pooling)."""

    factor: int  # pixels along the side of a block

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = False
    tiny: ClassVar[Mapping[str, object]] = {"factor": 2}  # for tests

    def __post_init__(self) -> None:
        require(
            is_count(self.factor),
            f"average-pool: factor must be a positive integer, got {self.factor!r}",
        )

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return F.avg_pool2d(x, self.factor)

    def adjoint(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        return (
            v.repeat_interleave(self.factor, -2).repeat_interleave(self.factor, -1) / self.factor**2
        )

    def spectrum(self, y: Tensor, x_shape: Shape) -> AxisSpectrum:
        means = torch.full((1, self.factor), 1 / self.factor, dtype=torch.float64, device=y.device)
        rows, columns = (
            torch.kron(torch.eye(side // self.factor).to(means), means) for side in x_shape[-2:]
        )
        return spectrum_of_axes((None, rows, columns), x_shape, y)

    def measured_shape(self, x_shape: Shape) -> Shape:
        *channels, height, width = x_shape
        divides = height % self.factor == 0 and width % self.factor == 0
        require(
            divides, f"average-pool: factor {self.factor} does not divide {describe_size(x_shape)}"
        )
        return (*channels, height // self.factor, width // self.factor)
