"""`inpaint-box`: all pixels but those of a centred square."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.packed import mask_of
from bench.core.types import Shape
from bench.core.values import is_count, require
from bench.numerics.spectrum import AxisSpectrum
from bench.operators._common import describe_size

__all__ = ["InpaintBox"]


@dataclass(frozen=True)
class InpaintBox:
    """A(x) = mask x: a centred square of `box` x `box` pixels is not measured."""

    box: int  # pixels along the side of the hidden square

    linear: ClassVar[bool] = True
    masked: ClassVar[bool] = True
    tiny: ClassVar[Mapping[str, object]] = {"box": 2}  # for tests

    def __post_init__(self) -> None:
        require(
            is_count(self.box), f"inpaint-box: box must be a positive integer, got {self.box!r}"
        )

    def __call__(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return mask_of(y) * x

    adjoint = __call__

    def spectrum(self, y: Tensor, x_shape: Shape) -> AxisSpectrum:
        return AxisSpectrum(mask_of(y))

    def measured_shape(self, x_shape: Shape) -> Shape:
        require(
            self.box < min(x_shape[-2:]),
            f"inpaint-box: box {self.box} leaves nothing to see of {describe_size(x_shape)}",
        )
        return x_shape

    def draw_mask(self, uniform: Tensor) -> Tensor:
        height, width = uniform.shape[-2:]
        top, left = (height - self.box) // 2, (width - self.box) // 2
        mask = torch.ones_like(uniform)
        mask[..., top : top + self.box, left : left + self.box] = 0
        return mask
