"""`denoise`: the image itself, so that only noise has to be removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from bench.core.types import Shape
from bench.numerics.spectrum import AxisSpectrum

__all__ = ["Denoise"]


@dataclass(frozen=True)
class Denoise:
    """A(x) = x."""

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = False
    tiny: ClassVar[Mapping[str, object]] = {}  # for tests

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x

    adjoint = __call__

    def spectrum(self, y: Tensor, x_shape: Shape) -> AxisSpectrum:
        return AxisSpectrum(y.new_ones((1, *x_shape)))

    def measured_shape(self, x_shape: Shape) -> Shape:
        return x_shape
